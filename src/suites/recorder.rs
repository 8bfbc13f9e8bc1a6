//! What a suite has found so far: metrics, curves and notes under the names of run.json, each with its provenance.

use super::quantity::Quantity;
use crate::record::{Metric, Note, Provenance, Series};
use crate::stats::Interval;

/// Numbers, curves and notes in the order in which they were first recorded; recording a name again replaces it.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    metrics: Vec<Metric>,
    series: Vec<Series>,
    notes: Vec<Note>,
}

/// A curve on its way into the record.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Unit of `x`.
    pub x_unit: &'static str,
    /// Abscissae.
    pub x: Vec<f64>,
    /// Ordinates, as many.
    pub y: Vec<f64>,
    /// Intervals, none or as many.
    pub intervals: Vec<Interval>,
}

impl Curve {
    /// An empty curve.
    pub fn over(x_unit: &'static str) -> Self {
        Self {
            x_unit,
            ..Self::default()
        }
    }

    /// A curve without intervals.
    pub fn through(x_unit: &'static str, points: impl Iterator<Item = (f64, f64)>) -> Self {
        let (x, y) = points.unzip();
        Self {
            x,
            y,
            ..Self::over(x_unit)
        }
    }

    /// Adds a point with its interval.
    pub fn push(&mut self, x: f64, y: Interval) {
        self.x.push(x);
        self.y.push(y.estimate);
        self.intervals.push(y);
    }
}

impl Recorder {
    /// A measured number: `subject.quantity`, with its 95 % interval.
    pub fn measured(
        &mut self,
        subject: &str,
        quantity: Quantity,
        interval: Interval,
        how: impl Into<String>,
    ) {
        self.metric(
            subject,
            quantity,
            Provenance::Measured,
            Some(interval),
            how.into(),
        );
    }

    /// A number that was read once: it has no interval.
    pub fn reading(
        &mut self,
        subject: &str,
        quantity: Quantity,
        value: f64,
        how: impl Into<String>,
    ) {
        self.single(subject, quantity, Provenance::Measured, value, how.into());
    }

    /// A number computed from measured ones; `how` states the formula.
    pub fn derived(
        &mut self,
        subject: &str,
        quantity: Quantity,
        interval: Interval,
        how: impl Into<String>,
    ) {
        self.metric(
            subject,
            quantity,
            Provenance::Derived,
            Some(interval),
            how.into(),
        );
    }

    /// The same without an interval.
    pub fn computed(
        &mut self,
        subject: &str,
        quantity: Quantity,
        value: f64,
        how: impl Into<String>,
    ) {
        self.single(subject, quantity, Provenance::Derived, value, how.into());
    }

    /// A number from a model or a declared cost.
    pub fn estimated(
        &mut self,
        subject: &str,
        quantity: Quantity,
        value: f64,
        how: impl Into<String>,
    ) {
        self.single(subject, quantity, Provenance::Estimated, value, how.into());
    }

    /// A number from a simulation of the machine: not measured here.
    pub fn simulated(
        &mut self,
        subject: &str,
        quantity: Quantity,
        value: f64,
        how: impl Into<String>,
    ) {
        self.single(subject, quantity, Provenance::Simulated, value, how.into());
    }

    /// A number that others state, with its range; `how` says where.
    pub fn stated(
        &mut self,
        subject: &str,
        quantity: Quantity,
        interval: Interval,
        how: impl Into<String>,
    ) {
        let how = how.into();
        self.metric(
            subject,
            quantity,
            Provenance::Estimated,
            Some(interval),
            how,
        );
    }

    /// A number that cannot be had here, and why.
    pub fn missing(&mut self, subject: &str, quantity: Quantity, reason: impl Into<String>) {
        self.metric(
            subject,
            quantity,
            Provenance::Unavailable,
            None,
            reason.into(),
        );
    }

    /// A measured curve. Points without a place on the abscissa are left out.
    pub fn curve(
        &mut self,
        subject: &str,
        quantity: Quantity,
        curve: Curve,
        how: impl Into<String>,
    ) {
        let placed: Vec<usize> = (0..curve.x.len().min(curve.y.len()))
            .filter(|point| curve.x[*point].is_finite())
            .collect();
        let at = |point: &usize| curve.intervals.get(*point);
        let ends = |of: fn(&Interval) -> f64| -> Vec<Option<f64>> {
            let ends = placed.iter().map_while(at).map(of).map(finite);
            ends.collect()
        };
        let series = Series {
            name: format!("{subject}.{}", quantity.name),
            unit: quantity.unit.into(),
            x_unit: curve.x_unit.into(),
            low: ends(|interval| interval.low),
            high: ends(|interval| interval.high),
            y: placed.iter().map(|point| finite(curve.y[*point])).collect(),
            x: placed.iter().map(|point| curve.x[*point]).collect(),
            provenance: Provenance::Measured,
            how: how.into(),
        };
        replace(&mut self.series, series, |series| &series.name);
    }

    /// A condition of the run that a reader must know.
    pub fn note(&mut self, topic: &str, text: impl Into<String>) {
        let note = Note {
            topic: topic.into(),
            text: text.into(),
        };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The value recorded under that full name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.metrics
            .iter()
            .find(|metric| metric.name == name)?
            .value
    }

    /// Every number.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Every curve.
    pub fn series(&self) -> &[Series] {
        &self.series
    }

    /// Every note.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn single(
        &mut self,
        subject: &str,
        quantity: Quantity,
        provenance: Provenance,
        value: f64,
        how: String,
    ) {
        let none = f64::NAN;
        self.metric(
            subject,
            quantity,
            provenance,
            Some(Interval {
                estimate: value,
                low: none,
                high: none,
            }),
            how,
        );
    }

    fn metric(
        &mut self,
        subject: &str,
        quantity: Quantity,
        provenance: Provenance,
        interval: Option<Interval>,
        how: String,
    ) {
        let (number, provenance, how) = match interval {
            Some(interval) if !interval.estimate.is_finite() => {
                let how = format!(
                    "came out as {}, which is no number: {how}",
                    interval.estimate
                );
                (None, Provenance::Unavailable, how)
            }
            known => (known, provenance, how),
        };
        let metric = Metric {
            name: format!("{subject}.{}", quantity.name),
            value: number.map(|interval| interval.estimate),
            low: number.and_then(|interval| finite(interval.low)),
            high: number.and_then(|interval| finite(interval.high)),
            unit: quantity.unit.into(),
            better: quantity.better,
            provenance,
            how,
        };
        replace(&mut self.metrics, metric, |metric| &metric.name);
    }
}

/// JSON knows neither NaN nor infinity.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn replace<T>(list: &mut Vec<T>, item: T, name: impl Fn(&T) -> &str) {
    match list.iter().position(|other| name(other) == name(&item)) {
        Some(place) => list[place] = item,
        None => list.push(item),
    }
}

#[cfg(test)]
mod tests {
    use super::super::quantity::{GBPS, MFU};
    use super::*;
    use crate::record::Better;

    #[test]
    fn names_units_and_directions_come_from_the_quantity() {
        let mut recorder = Recorder::default();
        let interval = Interval {
            estimate: 0.8,
            low: 0.7,
            high: 0.9,
        };
        recorder.derived("training.small.t2", MFU, interval, "model FLOP/s over peak");
        recorder.missing("ceiling.bandwidth.l3.t1", GBPS, "no third-level cache");
        recorder.computed("training.small.t1", MFU, f64::NAN, "0 / 0");
        let [mfu, l3, broken] = recorder.metrics() else {
            panic!("three metrics")
        };
        assert_eq!(
            (mfu.name.as_str(), mfu.value, mfu.low, mfu.high),
            ("training.small.t2.mfu", Some(0.8), Some(0.7), Some(0.9))
        );
        assert_eq!(
            (mfu.unit.as_str(), mfu.better, mfu.provenance),
            ("ratio", Better::Higher, Provenance::Derived)
        );
        assert_eq!(
            (l3.value, l3.provenance, l3.how.as_str()),
            (None, Provenance::Unavailable, "no third-level cache")
        );
        assert_eq!(
            (broken.value, broken.provenance, broken.how.as_str()),
            (
                None,
                Provenance::Unavailable,
                "came out as NaN, which is no number: 0 / 0"
            )
        );
    }

    #[test]
    fn what_is_no_number_is_written_and_read_back() {
        let mut recorder = Recorder::default();
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0];
        let mut curve = Curve::over("bytes");
        for (index, estimate) in odd.into_iter().enumerate() {
            for low in odd {
                let interval = Interval {
                    estimate,
                    low,
                    high: -low,
                };
                recorder.measured(&format!("a{index}.t1"), GBPS, interval, "odd");
                odd.iter().for_each(|x| curve.push(*x, interval));
            }
        }
        recorder.curve("a.t1", GBPS, curve, "odd");
        let series = &recorder.series()[0];
        assert_eq!(series.x, [1.0; 16]);
        assert_eq!(series.y.iter().flatten().count(), 4);
        assert_eq!(
            [&series.low, &series.high].map(|ends| (ends.len(), ends.iter().flatten().count())),
            [(16, 4); 2]
        );
        let text = serde_json::to_string(&(recorder.metrics(), recorder.series())).unwrap();
        let (metrics, curves): (Vec<Metric>, Vec<Series>) = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&metrics[..], &curves[..]),
            (recorder.metrics(), recorder.series())
        );
        for metric in metrics {
            let known = metric.provenance == Provenance::Measured;
            assert_eq!(metric.value.is_some(), known, "{metric:?}");
        }
    }

    #[test]
    fn recording_again_replaces_in_place() {
        let mut recorder = Recorder::default();
        recorder.reading("a.t1", GBPS, 1.0, "first");
        recorder.reading("b.t1", GBPS, 2.0, "first");
        recorder.reading("a.t1", GBPS, 3.0, "second");
        assert_eq!(recorder.metrics().len(), 2);
        assert_eq!(
            (recorder.value("a.t1.gbps"), recorder.value("b.t1.gbps")),
            (Some(3.0), Some(2.0))
        );
        recorder.note("method", "once");
        recorder.note("method", "once");
        assert_eq!(recorder.notes().len(), 1);
    }

    #[test]
    fn curves_keep_their_gaps_and_intervals() {
        let mut recorder = Recorder::default();
        let mut curve = Curve::over("bytes");
        curve.push(
            4096.0,
            Interval {
                estimate: 10.0,
                low: 9.0,
                high: 11.0,
            },
        );
        curve.push(
            8192.0,
            Interval {
                estimate: f64::NAN,
                low: 0.0,
                high: 0.0,
            },
        );
        recorder.curve("ceiling.bandwidth.t1.staircase", GBPS, curve, "reads");
        let series = &recorder.series()[0];
        assert_eq!(
            (series.name.as_str(), &series.y[..]),
            (
                "ceiling.bandwidth.t1.staircase.gbps",
                &[Some(10.0), None][..]
            )
        );
        assert_eq!((series.low.len(), series.x.len()), (2, 2));
    }
}
