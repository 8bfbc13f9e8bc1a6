//! The page as a whole: complete, safe, and the same whatever a run lacks.

use super::{render, sample, write};
use crate::record::Run;

fn runs() -> [(&'static str, Run); 6] {
    [
        ("typical", sample::typical()),
        ("large", sample::large()),
        ("single", sample::single()),
        ("nothing", sample::nothing()),
        ("unavailable", sample::unavailable()),
        ("hostile", sample::hostile()),
    ]
}

#[test]
fn every_run_gives_a_complete_page_of_modest_size() {
    for (name, run) in runs() {
        let page = render(&run);
        if let Ok(folder) = std::env::var("LOOPOS_SAMPLE_PAGES") {
            write(&run, &std::path::Path::new(&folder).join(name)).unwrap();
        }
        assert!(
            page.html.starts_with("<!DOCTYPE html>") && page.html.ends_with("</html>"),
            "{name}"
        );
        assert!(
            page.html.len() < 1_500_000,
            "{name}: {} bytes",
            page.html.len()
        );
        for foreign in ["http://", "https://", "src=", "@import", "url("] {
            let plain = page.html.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !plain.contains(foreign),
                "{name} loads something: {foreign}"
            );
        }
        for garbage in ["NaN", ">inf<", "-inf", "Infinity"] {
            assert!(!page.html.contains(garbage), "{name} contains {garbage}");
        }
    }
}
