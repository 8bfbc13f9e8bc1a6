//! A history that somebody exported, imported into a new one.

use std::cell::RefCell;
use std::path::Path;

use loopos::history::History;
use loopos::report::timeline::{Course, page};

use super::{Target, run};

pub(super) const TARGET: Target = Target {
    name: "history",
    run: import,
    seeds,
    slack: 4 << 20,
};

/// A run a line.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = run::seeds();
    let short: Vec<_> = seeds.iter().take(3).cloned().collect();
    seeds.push(short.join(&b'\n'));
    seeds
}

thread_local! {
    /// An empty history. What is refused leaves it so; the next input is given another where something was kept.
    static EMPTY: RefCell<Option<History>> = const { RefCell::new(None) };
}

fn open() -> History {
    History::open(Path::new(":memory:")).expect("a history in memory")
}

fn import(data: &[u8]) {
    let mut history = EMPTY.take().unwrap_or_else(open);
    if history.import(&mut &data[..]).is_err() {
        let left = history.machines().expect("the machines of a history");
        assert!(left.is_empty(), "what was refused is kept");
        EMPTY.set(Some(history));
        return;
    }
    let mut exported = Vec::new();
    let count = history
        .export(&mut exported)
        .expect("what was kept is exported");
    let (seen, new) = history
        .import(&mut &exported[..])
        .expect("what was exported is imported");
    assert_eq!((seen, new), (count, 0), "the same runs again");
    for kept in history.machines().expect("the machines of a history") {
        let fingerprint = &kept.machine.fingerprint;
        let metrics = history
            .metrics(fingerprint)
            .expect("the metrics of a machine");
        let courses: Vec<_> = metrics
            .iter()
            .take(4)
            .map(|(metric, _)| {
                Course::of(
                    history
                        .timeline(fingerprint, metric)
                        .expect("the numbers of a metric"),
                )
            })
            .collect();
        assert!(
            !page(&kept, &courses).contains(run::MARKUP),
            "markup of a file is in a page"
        );
    }
}
