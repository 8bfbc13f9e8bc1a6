//! The page as a whole: complete, safe, and the same whatever a run lacks.

use super::{Page, charts, render, sample, view, write};
use crate::record::{Provenance, Run};

/// Pictures of a run that has everything but post-training.
const PRETRAINING: usize = charts::ALL.len() - 1;

fn runs() -> [(&'static str, Run); 7] {
    [
        ("typical", sample::typical()),
        ("large", sample::large()),
        ("single", sample::single()),
        ("reinforced", sample::reinforced()),
        ("nothing", sample::nothing()),
        ("unavailable", sample::unavailable()),
        ("hostile", sample::hostile()),
    ]
}

/// Walks through markup and fails where a tag is not closed by its own end, or an attribute holds markup.
fn well_formed(name: &str, text: &str) {
    const VOID: [&str; 3] = ["meta", "br", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let end = start
            + rest[start..]
                .find('>')
                .unwrap_or_else(|| panic!("{name}: a tag without end"));
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "{name}: markup within a tag: {tag}");
        assert!(
            tag.matches('"').count().is_multiple_of(2),
            "{name}: an open quote in {tag}"
        );
        rest = &rest[end + 1..];
        let word = tag
            .split([' ', '/'])
            .find(|word| !word.is_empty())
            .unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{name}: closes what is not open");
        } else if !tag.ends_with('/') && !VOID.contains(&word) {
            open.push(word);
            if word == "script" || word == "style" {
                let close = rest
                    .find(&format!("</{word}>"))
                    .unwrap_or_else(|| panic!("{name}: {word} does not end"));
                rest = &rest[close..];
            }
        }
    }
    assert!(open.is_empty(), "{name}: never closed: {open:?}");
}

#[test]
fn every_run_gives_a_complete_page_of_modest_size() {
    for (name, run) in runs() {
        let page = render(&run);
        if let Ok(folder) = std::env::var("LOOPOS_SAMPLE_PAGES")
            && !folder.is_empty()
        {
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
        well_formed(name, &page.html);
        for foreign in ["http://", "https://", " src=", "@import", "url("] {
            assert!(
                !page.html.contains(foreign),
                "{name} loads something: {foreign}"
            );
        }
        for garbage in ["NaN", ">inf<", "-inf", "Infinity"] {
            assert!(!page.html.contains(garbage), "{name} contains {garbage}");
        }
    }
}

#[test]
fn pictures_stand_on_their_own() {
    for (name, run) in runs() {
        for (file, svg) in render(&run).pictures {
            well_formed(&format!("{name}/{file}"), &svg);
            assert!(
                file.ends_with(".svg")
                    && file
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)),
                "{file}"
            );
            assert!(
                svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"")
                    && svg.contains("<title>"),
                "{file}"
            );
            assert!(
                !svg.contains("var(") && svg.contains("prefers-color-scheme:dark"),
                "{file} brings its colours"
            );
        }
    }
}

#[test]
fn a_usual_run_has_every_picture_and_its_first_screen() {
    let Page { html, pictures } = render(&sample::typical());
    assert_eq!(pictures.len(), PRETRAINING);
    for expected in [
        "5,200 <small>tokens/s</small>",
        "5,169 to 5,231",
        "74.2 <small>%</small>",
        "Attention below peak",
        "Parallel loss",
        "Elementwise",
        "Use 4 heads of 64",
        "perf_event_open: no such device",
        "time by operator</b> measured",
        "plan</b> estimated",
    ] {
        assert!(html.contains(expected), "the page lacks {expected}");
    }
    assert!(!html.contains("Not in this run"));
}

#[test]
fn what_is_missing_is_told_with_its_reason() {
    let html = render(&sample::unavailable()).html;
    let cards = html
        .matches("<p class=\"none\">The run was stopped before the first step ended.")
        .count();
    assert!(
        cards > charts::ALL.len(),
        "{cards} cards tell why they are empty"
    );
    let html = render(&sample::nothing()).html;
    assert!(html.contains("This run trained nothing") && html.contains("Not in this run"));
    assert!(html.contains("loopos bench --suite ceilings"));
    let mut run = sample::typical();
    run.metrics
        .retain(|metric| !metric.name.ends_with(".step_seconds"));
    let html = render(&run).html;
    assert!(html.contains("The run holds no number for it."));
    // A log knows no arithmetic, so there is nothing to tell of it.
    let html = render(&sample::reinforced()).html;
    assert!(!html.contains("Why not faster") && html.contains("Where a step goes"));
}

#[test]
fn one_thread_has_no_speed_up_to_show() {
    let page = render(&sample::single());
    assert!(page.html.contains("Only one thread count was measured"));
    assert!(
        !page
            .pictures
            .iter()
            .any(|picture| picture.0 == "speedup.svg")
    );
}

#[test]
fn every_case_gets_its_own_pictures_and_no_id_occurs_twice() {
    let page = render(&sample::large());
    for file in ["roofline.svg", "roofline-2.svg", "topology.svg"] {
        assert!(
            page.pictures.iter().any(|picture| picture.0 == file),
            "{file}"
        );
    }
    assert!(page.html.contains("All cases"));
    for (name, run) in runs() {
        let html = render(&run).html;
        let mut ids: Vec<&str> = html
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name}");
    }
}

#[test]
fn hostile_texts_stay_texts() {
    let page = render(&sample::hostile());
    let everything = page
        .pictures
        .iter()
        .map(|picture| picture.1.as_str())
        .chain([page.html.as_str()]);
    for text in everything {
        assert!(
            !text.contains("<script>alert"),
            "markup from the run got through"
        );
        assert!(
            !text.chars().any(|c| c == '\u{202e}' || c == '\u{0}'),
            "a control character got through"
        );
        assert!(!text.contains(&"W".repeat(500)), "a long text was not cut");
    }
}

#[test]
fn series_of_any_length_are_drawn_small() {
    let mut run = sample::typical();
    for series in &mut run.series {
        let (x, y) = (series.x.clone(), series.y.clone());
        if series.x_unit == "step" {
            series.x = (0..200_000).map(f64::from).collect();
            series.y = (0..200_000).map(|step| y[step % y.len()]).collect();
        } else if series.x_unit == "seconds" {
            series.y.truncate(1);
        } else {
            (series.x, series.y) = (x[..1].to_vec(), Vec::new());
        }
    }
    let page = render(&run);
    assert!(page.html.len() < 1_500_000, "{} bytes", page.html.len());
}

#[test]
fn rendering_is_pure() {
    let run = sample::typical();
    let (one, other) = (render(&run), render(&run));
    assert_eq!(one.html, other.html);
    assert_eq!(one.pictures, other.pictures);
}

#[test]
fn the_document_survives_json() {
    let run = sample::typical();
    let text = serde_json::to_string(&run).unwrap();
    let back: Run = serde_json::from_str(&text).unwrap();
    assert_eq!(render(&back).html, render(&run).html);
}

#[test]
fn writing_replaces_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("deep/er");
    let run = sample::typical();
    for _ in 0..2 {
        let path = write(&run, &target).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), render(&run).html);
    }
    let names: Vec<String> = std::fs::read_dir(&target)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), PRETRAINING + 1, "{names:?}");
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let error = write(&run, &blocked.join("below")).unwrap_err().to_string();
    assert!(
        error.contains("below") && error.contains("choose a folder"),
        "{error}"
    );
}

#[test]
fn the_list_of_pictures_is_complete_and_each_is_explained() {
    let runs = [sample::typical(), sample::reinforced()];
    let [pretrained, reinforced] = runs
        .each_ref()
        .map(|run| view::View::new(run, view::cases(run).first().cloned()));
    for chart in charts::ALL {
        let view = match chart.id {
            "posttraining" => &reinforced,
            _ => &pretrained,
        };
        assert!(
            chart.how_to_read.ends_with('.') && chart.how_to_read.len() > 40,
            "{}",
            chart.id
        );
        assert!(chart.wants(view), "{}", chart.id);
        for input in (chart.inputs)(view) {
            assert!(
                !input.origin.is_empty() && !input.how.is_empty(),
                "{}: {input:?}",
                chart.id
            );
            assert_ne!(
                input.origin,
                [view::origin(Provenance::Unavailable)],
                "{}",
                chart.id
            );
        }
    }
}
