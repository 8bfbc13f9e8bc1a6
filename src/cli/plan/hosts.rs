//! Numbers of hosts as they are typed.

use super::super::outcome::Failure;

/// More are not believed: the law of sums was measured on a handful.
const MOST: usize = 65_536;

/// `2..512` doubles from the one to the other; `2,4,6` and `8` are themselves.
///
/// # Errors
/// Wrong use, for anything else.
pub(super) fn parse(list: &str) -> Result<Vec<usize>, Failure> {
    let wrong = || {
        Failure::wrong_use(format!(
            "--hosts {list}: not numbers of hosts from 1 to {MOST}"
        ))
        .help("for example --hosts 2..512, which doubles, or --hosts 2,4,6")
    };
    let number = |text: &str| {
        let number = text.trim().parse::<usize>().ok();
        number
            .filter(|hosts| (1..=MOST).contains(hosts))
            .ok_or_else(wrong)
    };
    let mut hosts = Vec::new();
    for part in list.split(',') {
        match part.split_once("..") {
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                if from > to {
                    return Err(wrong());
                }
                let doubled = std::iter::successors(Some(from), |hosts| Some(hosts * 2));
                hosts.extend(doubled.take_while(|hosts| *hosts < to));
                hosts.push(to);
            }
            None => hosts.push(number(part)?),
        }
    }
    hosts.sort_unstable();
    hosts.dedup();
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_double_and_lists_are_themselves() {
        let parsed = |list| parse(list).ok();
        assert_eq!(parsed("2..16"), Some(vec![2, 4, 8, 16]));
        assert_eq!(parsed("2..10"), Some(vec![2, 4, 8, 10]));
        assert_eq!(parsed("6, 2,2..4"), Some(vec![2, 4, 6]));
        assert_eq!(parsed("3..3"), Some(vec![3]));
        for wrong in [
            "",
            "0",
            "4..2",
            "2..",
            "two",
            "1..99999999999999999999",
            "2-4",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
