//! A `run.json` that somebody sent, as a page with its pictures.

use loopos::report::render;

use super::{Target, run};

pub(super) const TARGET: Target = Target {
    name: "page",
    run: draw,
    seeds: run::seeds,
    slack: 16 << 20,
};

fn draw(data: &[u8]) {
    let Some(run) = run::parse(data) else { return };
    let page = render(&run);
    let pictures = page.pictures.iter().map(|(_, picture)| picture);
    for text in pictures.chain([&page.html]) {
        assert!(!text.contains(run::MARKUP), "markup of a file is in a page");
    }
    for (name, _) in &page.pictures {
        assert!(!name.contains('/'), "{name} is in another folder");
    }
}
