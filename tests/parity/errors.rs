//! How far tensors are from what they must be, gathered over every setting.

use std::fmt;

/// The worst errors of each tensor, in the order in which tensors came.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    /// Largest difference over the largest expected value.
    largest: f64,
    /// Norm of the differences over the norm of the expected values; none where a bound stands alone.
    frobenius: Option<f64>,
    /// What both may be.
    bound: f64,
    /// Where the worst was seen.
    setting: String,
}

impl Table {
    /// Compares a tensor with what it must be.
    pub(crate) fn compare(
        &mut self,
        name: &str,
        got: &[f32],
        expected: &[f32],
        bound: f64,
        setting: &str,
    ) {
        assert_eq!(got.len(), expected.len(), "{name}: {setting}");
        let (mut largest, mut scale, mut squares, mut norm) = (0_f64, 0_f64, 0.0, 0.0);
        for (got, expected) in got.iter().zip(expected) {
            let (got, expected) = (f64::from(*got), f64::from(*expected));
            let difference = (got - expected).abs();
            // NaN is no small error, though no comparison says so.
            let difference = if difference.is_nan() {
                f64::INFINITY
            } else {
                difference
            };
            (largest, scale) = (largest.max(difference), scale.max(expected.abs()));
            (squares, norm) = (
                squares + difference * difference,
                norm + expected * expected,
            );
        }
        assert!(scale > 0.0, "{name}: nothing to compare with");
        let frobenius = Some((squares / norm).sqrt());
        self.note(name, largest / scale, frobenius, bound, setting);
    }

    /// Holds one number to a bound.
    pub(crate) fn bound(&mut self, name: &str, value: f64, bound: f64, setting: &str) {
        self.note(name, value, None, bound, setting);
    }

    fn note(
        &mut self,
        name: &str,
        largest: f64,
        frobenius: Option<f64>,
        bound: f64,
        setting: &str,
    ) {
        let setting = setting.to_owned();
        let row = Row {
            name: name.to_owned(),
            largest,
            frobenius,
            bound,
            setting,
        };
        match self.rows.iter_mut().find(|known| known.name == name) {
            Some(known) if row.worst() > known.worst() => *known = row,
            Some(_) => {}
            None => self.rows.push(row),
        }
    }

    /// Fails with every row that is over its bound.
    #[track_caller]
    pub(crate) fn judge(&self, model: &str) {
        assert!(
            self.rows.len() > 30,
            "{model}: only {} tensors",
            self.rows.len()
        );
        let failed: Vec<String> = self
            .rows
            .iter()
            .filter(|row| row.worst() > row.bound)
            .map(|row| format!("{row}, at {}", row.setting))
            .collect();
        let count = failed.len();
        assert!(
            failed.is_empty(),
            "{model}: {count} over their bounds\n{}",
            failed.join("\n")
        );
    }
}

impl Row {
    fn worst(&self) -> f64 {
        self.largest.max(self.frobenius.unwrap_or(0.0))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  largest  Frobenius    bound  tensor")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frobenius = self
            .frobenius
            .map_or("-".to_owned(), |error| format!("{error:.1e}"));
        let (largest, bound) = (self.largest, self.bound);
        write!(
            f,
            "  {largest:7.1e}  {frobenius:>9}  {bound:7.1e}  {}",
            self.name
        )
    }
}

#[test]
fn an_error_over_its_bound_is_named() {
    let expected = vec![1.0_f32; 40];
    let judged = |error: f32| {
        let mut table = Table::default();
        for tensor in 0..40 {
            let mut got = expected.clone();
            got[tensor] += if tensor == 7 { error } else { 0.0 };
            table.compare(&format!("tensor {tensor}"), &got, &expected, 1e-4, "here");
        }
        std::panic::catch_unwind(|| table.judge("a model"))
    };
    assert!(judged(9e-5).is_ok());
    for error in [2e-4, f32::NAN] {
        let panic = judged(error).expect_err("an error over the bound");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.contains("tensor 7, at here"), "{message}");
    }
}
