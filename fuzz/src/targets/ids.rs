//! Token ids in a text.

use loopos::text::ids;

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "ids",
    run,
    seeds: || vec![b"5, 17\n[0,1] 4294967295".to_vec(), b"1\t2\r\n3".to_vec()],
    slack: 1 << 16,
};

fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(found) = ids::parse(&text, 1000) {
        assert!(found.iter().all(|id| *id < 1000));
        let written = format!("{found:?}");
        assert_eq!(ids::parse(&written, 1000).as_ref(), Ok(&found));
    }
}
