//! Networks that a forecast can be made for: those that are known by name, and those that a run has measured.

use crate::stats::fits::AllReduce;

/// A network by the law of its sums, and where that is from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) law: AllReduce,
    pub(super) how: String,
}

/// A message of no bytes between network namespaces of one machine (veth and bridge, TCP, OpenMPI 4.1): no wire and no switch, which add
/// some microseconds. Measured as reports/fleet.md tells.
const LATENCY: f64 = 20e-6;

/// Bytes a second of sums over TCP where no wire is the limit: what one core adds up and hands to and from the system, measured there.
const PROCESSOR: f64 = 3.0e9;

/// Of a wire's rate, what headers of TCP/IP leave in frames of 1500 bytes. Sums got as much on one that was shaped to 1 Gbit/s, measured
/// there.
const OF_THE_RATE: f64 = 0.95;

/// The names, and the bits of the wires a second.
pub(super) const KNOWN: [(&str, f64); 3] = [("1g", 1e9), ("10g", 10e9), ("100g", 100e9)];

/// A network by its name: its wire, or what one core can serve, whichever is slower.
pub(super) fn known(name: &str) -> Option<Network> {
    let (_, bits) = KNOWN.into_iter().find(|(known, _)| *known == name)?;
    let wire = OF_THE_RATE * bits / 8.0;
    let limit = match wire < PROCESSOR {
        true => format!("{:.0} % of the wire's rate", 100.0 * OF_THE_RATE),
        false => "what one core adds up over TCP, as the wire is faster".to_owned(),
    };
    Some(Network {
        name: name.to_owned(),
        law: AllReduce {
            latency: LATENCY,
            per_byte: 1.0 / wire.min(PROCESSOR),
        },
        how: format!(
            "estimated: {limit}; `--network RUN` takes a network that `bench --suite fleet` measured"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_wire_is_no_slower_and_the_processor_is_the_limit() {
        let speeds = KNOWN.map(|(name, _)| 1.0 / known(name).unwrap().law.per_byte);
        assert!(speeds.is_sorted(), "{speeds:?}");
        assert!((speeds[0] - OF_THE_RATE * 125e6).abs() < 1.0);
        assert!((speeds[2] - PROCESSOR).abs() < 1.0);
        assert_eq!(known("2g"), None);
    }
}
