//! Where the slots of the pipeline went: the first level of the top-down method (Yasin, 2014).

use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{Align, Canvas, Ink, Svg, Type, clean};
use crate::report::values::{known, sentence};
use crate::report::view::{Input, View};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "top-down",
    title: "Top-down: where the pipeline's slots went",
    how_to_read: "Each cycle a core could retire a few operations: blue are those that counted; the others were lost to wrong guesses, to \
                  fetching and decoding, or to waiting for data and units.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

const PARTS: [(&str, &str, Ink); 4] = [
    ("retiring", "work that counted", Ink::Blue),
    ("bad_speculation", "wrong guesses", Ink::Purple),
    ("front_end_bound", "fetching and decoding", Ink::Gold),
    ("back_end_bound", "waiting for data and units", Ink::Orange),
];

fn inputs(view: &View<'_>) -> Vec<Input> {
    let metric = |part: &(&str, &str, Ink)| view.metric(&view.name("counters", part.0));
    Input::of_metrics("slots", PARTS.iter().filter_map(metric))
        .into_iter()
        .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    const ROW: f64 = 30.0;
    let part = |(id, name, ink): &(&str, &'static str, Ink)| {
        let metric = view.metric(&view.name("counters", id))?;
        let share = known(metric.value).filter(|share| (-0.01..=1.5).contains(share))?;
        Some((*name, share.max(0.0), *ink, &metric.how))
    };
    let parts: Vec<_> = PARTS.iter().filter_map(part).collect();
    if parts.is_empty() {
        return Err(super::reasons(&inputs(view)));
    }
    let label = if frame.narrow { 150.0 } else { 190.0 };
    let canvas = Canvas::new(frame.width, ROW * parts.len() as f64 + 6.0);
    let room = canvas.width - label - 58.0;
    for (row, (name, share, ink, how)) in parts.iter().enumerate() {
        let y = ROW * row as f64 + ROW / 2.0 + 2.0;
        canvas.hover(&clean(&sentence(how)), |canvas| {
            canvas.text((0.0, y), name, Type::plain(Ink::Text));
            canvas.fill((label, y - 9.0), (room, 18.0), Ink::Quiet, 0.25);
            let wide = room * share.min(1.0);
            canvas.fill((label, y - 9.0), (wide.max(1.0), 18.0), *ink, 0.8);
            let look = Type::plain(Ink::Text).align(Align::End);
            let percent = format!("{:.1} %", share * 100.0);
            canvas.text((canvas.width, y), &percent, look);
        });
    }
    let words = parts
        .iter()
        .map(|(name, share, ..)| format!("{name} {:.1} %", share * 100.0));
    Ok(canvas.finish(words.collect::<Vec<_>>().join("; ")))
}
