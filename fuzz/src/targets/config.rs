//! A configuration, and an override of the kind of `--set`.

use loopos::config::{BUILT_IN, Config};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "config",
    run,
    seeds: || {
        BUILT_IN
            .iter()
            .map(|(_, text)| text.as_bytes().to_vec())
            .collect()
    },
    slack: 1 << 20,
};

fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(config) = Config::from_json(&text) else {
        return;
    };
    // What a run keeps of its configuration is the same configuration.
    let kept = config.effective();
    let again = Config::from_json(&kept.to_string()).expect("what was kept is read again");
    assert_eq!(again.effective(), kept);
    let mut other = config.clone();
    if other.set("training.batch_size", &text).is_err() {
        assert_eq!(other, config, "a refused override changes nothing");
    }
}
