//! Which examples are held out.

use std::collections::HashMap;

use crate::train::order::{shuffle, stream};

/// Whether each example is held out: about `share` of them, and all that ask the same, so that nothing held out was trained on. A
/// function of the prompts and the share, not of a run's seed: runs can be compared, and an evaluation finds the same ones.
pub fn held_out<P: AsRef<str>>(prompts: &[P], share: f64) -> Vec<bool> {
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut first = Vec::new();
    for (index, prompt) in prompts.iter().enumerate() {
        let group = groups.entry(prompt.as_ref()).or_insert_with(|| {
            first.push(index as u32);
            Vec::new()
        });
        group.push(index);
    }
    shuffle(&mut first, &mut stream(0, u64::MAX));
    let wanted = (prompts.len() as f64 * share).round() as usize;
    let (mut held, mut count) = (vec![false; prompts.len()], 0);
    for index in first {
        if count >= wanted {
            break;
        }
        for &same in &groups[prompts[index as usize].as_ref()] {
            held[same] = true;
            count += 1;
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_the_same_stays_together() {
        let prompts: Vec<String> = (0..300).map(|i| (i * i % 97).to_string()).collect();
        let held = held_out(&prompts, 0.1);
        let count = held.iter().filter(|held| **held).count();
        assert!((30..50).contains(&count), "{count}");
        for (a, one) in prompts.iter().zip(&held) {
            assert!(
                prompts
                    .iter()
                    .zip(&held)
                    .all(|(b, other)| a != b || one == other)
            );
        }
        assert_eq!(held, held_out(&prompts, 0.1));
        assert!(held_out(&prompts, 0.0).iter().all(|held| !held));
    }
}
