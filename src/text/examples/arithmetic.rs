//! Problems of several steps that anyone can check: `4,+7,*3,-9` starts at 4, adds 7, multiplies by 3 and takes 9 away.
//!
//! Every total is from 0 to 99, and is written with two digits in the worked steps: `04+7=11`. The difficulty is the number of
//! operations: whoever writes the steps does one at a time, whoever does not must do all at once.

use rand_chacha::ChaCha8Rng;

use super::{Worked, below, random};

/// One more than the largest total.
const END: u32 = 100;

/// Problem `index` of the generator with this seed: `steps` operations, at least one. The same on every machine.
pub fn arithmetic(seed: u64, index: u64, steps: usize) -> Worked {
    let random = &mut random(seed, index);
    let mut total = below(random, 10);
    let mut problem = total.to_string();
    let mut reasoning = Vec::with_capacity(steps);
    for _ in 0..steps.max(1) {
        let (sign, operand) = operation(random, total);
        let result = apply(total, sign, operand);
        problem += &format!(",{sign}{operand}");
        reasoning.push(format!("{total:02}{sign}{operand}={result:02}"));
        total = result;
    }
    Worked {
        problem,
        reasoning,
        answer: total.to_string(),
    }
}

/// An operation that stays from 0 to 99: one that would not is drawn again.
fn operation(random: &mut ChaCha8Rng, total: u32) -> (char, u32) {
    loop {
        let (sign, operand) = match below(random, 3) {
            0 => ('+', 1 + below(random, 9)),
            1 => ('-', 1 + below(random, 9)),
            _ => ('*', 2 + below(random, 2)),
        };
        let fits = match sign {
            '+' => total + operand < END,
            '-' => total >= operand,
            _ => total * operand < END,
        };
        if fits {
            return (sign, operand);
        }
    }
}

fn apply(total: u32, sign: char, operand: u32) -> u32 {
    match sign {
        '+' => total + operand,
        '-' => total - operand,
        _ => total * operand,
    }
}

/// What a problem written as [`arithmetic`] writes it comes to; `None` of anything else.
pub fn evaluate(problem: &str) -> Option<i64> {
    let mut parts = problem.split(',');
    let start: i64 = parts.next()?.parse().ok()?;
    parts.try_fold(start, |total, part| {
        let (sign, operand) = (part.chars().next()?, part.get(1..)?);
        let operand: i64 = operand.parse().ok()?;
        match sign {
            '+' => total.checked_add(operand),
            '-' => total.checked_sub(operand),
            '*' => total.checked_mul(operand),
            _ => None,
        }
    })
}

/// The same problem worked with a mistake: one step comes to another total, and the steps after it follow from that.
pub fn corrupted(seed: u64, index: u64, worked: &Worked) -> Worked {
    let random = &mut random(seed ^ 0x5eed, index);
    let wrong = below(random, worked.reasoning.len() as u32) as usize;
    let mut operations = worked.problem.split(',');
    let mut total: u32 = operations
        .next()
        .and_then(|start| start.parse().ok())
        .unwrap_or(0);
    let mut reasoning = Vec::with_capacity(worked.reasoning.len());
    for (step, operation) in operations.enumerate() {
        let sign = operation.chars().next().unwrap_or('+');
        let operand = operation
            .get(1..)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let mut result = match sign {
            '-' => total.saturating_sub(operand),
            _ => apply(total, sign, operand) % END,
        };
        if step == wrong {
            result = (result + 1 + below(random, END - 1)) % END;
        }
        reasoning.push(format!("{total:02}{sign}{operand}={result:02}"));
        total = result;
    }
    Worked {
        problem: worked.problem.clone(),
        reasoning,
        answer: total.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_lead_to_the_answer_and_the_difficulty_is_their_number() {
        for index in 0..500 {
            let steps = 1 + index as usize % 7;
            let worked = arithmetic(3, index, steps);
            assert_eq!(worked.reasoning.len(), steps);
            let answer: i64 = worked.answer.parse().unwrap();
            assert_eq!(evaluate(&worked.problem), Some(answer), "{worked:?}");
            assert!((0..100).contains(&answer));
            let last = worked.reasoning.last().unwrap();
            assert!(last.ends_with(&format!("={answer:02}")), "{worked:?}");
        }
        assert_eq!(arithmetic(3, 5, 4), arithmetic(3, 5, 4));
        assert_ne!(arithmetic(3, 5, 4), arithmetic(4, 5, 4));
        assert_ne!(arithmetic(3, 5, 4), arithmetic(3, 6, 4));
    }

    #[test]
    fn what_is_no_problem_has_no_value() {
        assert_eq!(evaluate("4,+7,*3,-9"), Some(24));
        for text in [
            "",
            "x",
            "4,",
            "4,/2",
            "4,+",
            "4+7",
            "9,*9223372036854775807",
        ] {
            assert_eq!(evaluate(text), None, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_one_step_that_does_not_follow() {
        for index in 0..200 {
            let right = arithmetic(1, index, 5);
            let wrong = corrupted(1, index, &right);
            assert_eq!(wrong.reasoning.len(), 5);
            let differ = right.reasoning.iter().zip(&wrong.reasoning);
            assert!(differ.filter(|(a, b)| a != b).count() > 0, "{wrong:?}");
        }
    }
}
