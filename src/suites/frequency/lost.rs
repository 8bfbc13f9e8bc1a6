//! The way from nominal turbo to the cycles that were really done, as a sum of reasons.
//!
//! Each step of the way is a difference of two frequencies that were measured in the same process, so that the reasons and what is
//! left add up to the whole by construction. A negative share is frequency gained.

/// What was measured, in hertz where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// What one core should reach.
    pub(super) nominal: f64,
    /// Scalar code on one core, and on all.
    pub(super) scalar_alone: f64,
    pub(super) scalar_together: f64,
    /// The load on all cores: in the first moments, and over the whole run.
    pub(super) load_at_first: f64,
    pub(super) load: f64,
    /// Cycles done, over time and threads: what is left.
    pub(super) attained: f64,
    /// Share of the time that a hypervisor, and other programs, took; `None` where that is not told.
    pub(super) stolen: Option<f64>,
    pub(super) displaced: Option<f64>,
    /// Why the load fell with time.
    pub(super) falls: Falls,
}

/// The evidence for a frequency that falls with time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Falls {
    /// The system counted that heat held the cores back meanwhile.
    Heat,
    /// Power limits are set, and heat held nothing back.
    Power,
    /// Neither is told.
    Untold,
}

/// Reasons, as parts of metric names.
pub(super) const REASONS: [&str; 7] = [
    "active_cores",
    "licence",
    "power_limit",
    "thermal",
    "steal",
    "other_programs",
    "unknown",
];

/// The share of nominal that each of [`REASONS`] took, in their order; with `attained / nominal` they add up to one.
pub(super) fn shares(measured: &Measured) -> [f64; REASONS.len()] {
    let m = measured;
    let falls = m.load_at_first - m.load;
    let of = |evidence: Falls| if m.falls == evidence { falls } else { 0.0 };
    let taken = |share: Option<f64>| m.load * share.unwrap_or(0.0);
    let (steal, others) = (taken(m.stolen), taken(m.displaced));
    // Never reached at all, fallen without evidence, and time that neither steal nor other programs explain: interrupts.
    let unknown =
        (m.nominal - m.scalar_alone) + of(Falls::Untold) + (m.load - m.attained - steal - others);
    let hertz = [
        m.scalar_alone - m.scalar_together,
        m.scalar_together - m.load_at_first,
        of(Falls::Power),
        of(Falls::Heat),
        steal,
        others,
        unknown,
    ];
    hertz.map(|hertz| hertz / m.nominal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAPTOP: Measured = Measured {
        nominal: 4.7e9,
        scalar_alone: 4.6e9,
        scalar_together: 4.1e9,
        load_at_first: 4.0e9,
        load: 3.0e9,
        attained: 2.7e9,
        stolen: Some(0.05),
        displaced: Some(0.02),
        falls: Falls::Power,
    };

    fn of(measured: &Measured, reason: &str) -> f64 {
        let place = REASONS.iter().position(|known| *known == reason).unwrap();
        shares(measured)[place] * measured.nominal / 1e9
    }

    #[test]
    fn reasons_and_what_is_left_are_the_whole() {
        for falls in [Falls::Heat, Falls::Power, Falls::Untold] {
            for stolen in [None, Some(0.1)] {
                let measured = Measured {
                    falls,
                    stolen,
                    ..LAPTOP
                };
                let left = measured.attained / measured.nominal;
                let whole: f64 = shares(&measured).iter().sum::<f64>() + left;
                assert!((whole - 1.0).abs() < 1e-12, "{measured:?}");
            }
        }
    }

    #[test]
    fn each_reason_has_its_own_difference() {
        let close = |reason: &str, ghz: f64| {
            assert!((of(&LAPTOP, reason) - ghz).abs() < 1e-9, "{reason}");
        };
        close("active_cores", 0.5);
        close("licence", 0.1);
        close("power_limit", 1.0);
        close("thermal", 0.0);
        close("steal", 0.15);
        close("other_programs", 0.06);
        close("unknown", 0.1 + 0.09);
    }

    #[test]
    fn a_fall_goes_where_the_evidence_points() {
        let hot = Measured {
            falls: Falls::Heat,
            ..LAPTOP
        };
        assert!((of(&hot, "thermal") - 1.0).abs() < 1e-9 && of(&hot, "power_limit") == 0.0);
        let untold = Measured {
            falls: Falls::Untold,
            ..LAPTOP
        };
        assert!((of(&untold, "unknown") - 1.19).abs() < 1e-9);
    }
}
