//! A history that fell once and rose again is told so, whatever its length and its names.

use super::*;
use crate::record::{Kept, Moment, Summary};

fn timeline(values: impl IntoIterator<Item = f64>, name: &str) -> Timeline {
    let moment = |(index, value): (usize, f64)| Moment {
        run: format!("run {index}"),
        started: format!(
            "2026-{:02}-{:02}T00:00:00Z",
            1 + index / 28 % 12,
            1 + index % 28
        ),
        commit: Some(format!("{index:040x}")),
        value,
        interval: None,
    };
    Timeline {
        name: name.to_owned(),
        unit: "tokens/s".to_owned(),
        better: Better::Higher,
        points: values.into_iter().enumerate().map(moment).collect(),
    }
}

fn wobble(index: usize) -> f64 {
    1.0 + ((index * 7919 % 13) as f64 - 6.0) / 2_000.0
}

#[test]
fn changes_are_found_with_their_direction() {
    let level = |index: usize| {
        if (20..40).contains(&index) {
            900.0
        } else {
            1_000.0
        }
    };
    let course = Course::of(timeline(
        (0..60).map(|index| level(index) * wobble(index)),
        "training.a.t1.tokens_per_second",
    ));
    let turns = course.turns();
    assert_eq!(
        turns.iter().map(|turn| turn.at).collect::<Vec<_>>(),
        [20, 40]
    );
    assert_eq!(
        [turns[0].verdict, turns[1].verdict],
        [Verdict::Worse, Verdict::Better]
    );
    assert!((turns[0].change().unwrap() + 0.1).abs() < 0.01);
    assert!((course.level().unwrap() - 1_000.0).abs() < 10.0);
    let calm = Course::of(timeline((0..60).map(wobble), "x"));
    assert!(calm.turns().is_empty());
}

#[test]
fn the_page_is_complete_for_any_history() {
    let kept = Kept {
        machine: Summary {
            brand: "<b>CPU</b>".to_owned(),
            vendor: String::new(),
            microarchitecture: None,
            hypervisor: None,
            packages: 1,
            cores: 1,
            threads: 1,
            usable_threads: 1,
            isa: "avx2".to_owned(),
            fingerprint: "f".to_owned(),
        },
        runs: 60,
        first: "2026-01-01T00:00:00Z".to_owned(),
        last: "2026-03-01T00:00:00Z".to_owned(),
    };
    let falls = timeline(
        (0..60).map(|index| if index < 30 { 1_000.0 } else { 900.0 } * wobble(index)),
        "training.<i>.t1.tokens_per_second",
    );
    let mut memory = timeline(
        (0..700).map(|index| 3e8 * wobble(index)),
        "training.a.t1.peak_rss_bytes",
    );
    memory.unit = "bytes".to_owned();
    let courses: Vec<Course> = [
        falls,
        memory,
        timeline([5.0], "one"),
        timeline([], "none"),
        timeline([0.0; 9], "zero"),
    ]
    .into_iter()
    .map(Course::of)
    .collect();
    let page = page(&kept, &courses);
    assert!(!page.contains("<b>CPU") && !page.contains("<i>") && !page.contains("NaN"));
    assert!(
        page.contains("-10.") && page.contains("slower") && page.contains("No run has a value")
    );
    assert_eq!(page.matches("<svg").count(), 8);
    if let Ok(folder) = std::env::var("LOOPOS_SAMPLE_PAGES")
        && !folder.is_empty()
    {
        let folder = std::path::Path::new(&folder).join("timeline");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("report.html"), &page).unwrap();
    }
}
