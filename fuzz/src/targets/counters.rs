//! What sysfs says of a unit's events, `events/*` and `format/*`: where the parts of an event go.

use std::cell::Cell;

use loopos::measure::counters::described::describe;

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "counters",
    run,
    seeds,
    slack: 64 << 10,
};

/// Files by their path, one a line: path, a space, what is in it.
fn seeds() -> Vec<Vec<u8>> {
    let free_running = "type 25\ncpumask 0\nformat/event config:0-7\nformat/umask config:8-15\nevents/data_read event=0xff,umask=0x20\n\
                        events/data_read.scale 6.103515625e-5\nevents/data_read.unit MiB";
    let split = "type 31\ncpumask 0,28\nformat/event config:0-7,32-35\nformat/edge config:18\nevents/data_read event=0x104,edge\n\
                 events/data_read.unit Bytes";
    let elsewhere = "type 1\nevents/data_read ../../secret=1\nformat/../../secret config:0";
    [free_running, split, elsewhere].map(Vec::from).into()
}

fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let files: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let asked = Cell::new(0);
    let file = |path: &str| {
        asked.set(asked.get() + 1);
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
        assert!(
            path.split('/').count() <= 2 && path.split('/').all(plain),
            "{path} is another folder's"
        );
        let found = files.iter().find(|(known, _)| *known == path);
        found.map(|(_, content)| (*content).to_owned())
    };
    if let Some(event) = describe(&file, "data_read") {
        assert!(event.bytes_a_count.is_finite() && event.bytes_a_count > 0.0);
        assert!(!event.cpus.is_empty());
    }
    assert!(asked.get() <= 6 + text.len());
}
