//! The roll call: what every rank says of itself before they begin, and who is not like rank 0.

/// What must be the same on all ranks, by name, as one rank has it.
pub type Entry = (String, String);

/// A rank that is not like rank 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Which.
    pub rank: usize,
    /// In what.
    pub what: String,
    /// As rank 0 has it.
    pub first: String,
    /// As it has it.
    pub here: String,
}

/// The first entry in which a rank is not like rank 0. All have the same entries in the same order; the later of two that follow from
/// each other is not reported.
pub fn difference(all: &[Vec<Entry>]) -> Option<Difference> {
    let (first, others) = all.split_first()?;
    (0..first.len()).find_map(|index| {
        let (what, wanted) = &first[index];
        let other = others
            .iter()
            .position(|of_rank| of_rank.get(index).is_none_or(|(_, value)| value != wanted))?;
        let here = others[other]
            .get(index)
            .map_or_else(String::new, |(_, value)| value.clone());
        Some(Difference {
            rank: other + 1,
            what: what.clone(),
            first: wanted.clone(),
            here,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_differs_is_named() {
        let entries = |program: &str, text: &str| -> Vec<Entry> {
            [("program", program), ("text", text)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec()
        };
        let same = [entries("a", "b"), entries("a", "b")];
        assert_eq!(difference(&same), None);
        assert_eq!(difference(&[]), None);
        let other = [entries("a", "b"), entries("a", "c"), entries("d", "b")];
        let found = difference(&other).unwrap();
        assert_eq!((found.rank, &*found.what), (2, "program"));
        assert_eq!((&*found.first, &*found.here), ("a", "d"));
    }
}
