//! How long a cache line travels from each CPU to each other one.

use super::{Chart, Frame, Span, Subject};
use crate::record::Series;
use crate::report::draw::{Align, Canvas, Ink, Svg, Type};
use crate::report::view::{Input, View, points};

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "core-to-core",
    title: "From CPU to CPU",
    how_to_read: "Nanoseconds that a cache line takes from one CPU to another, half of a round trip; the darker, the longer. Blocks of pale \
                  cells share a core or a cache.",
    subject: Subject::Machine,
    span: Span::Half,
    suite: "memory",
    inputs,
    draw,
    table: None,
};

const PREFIX: &str = "memory.core_to_core.cpu";

/// Strongest colour: text stays readable over it.
const STRONGEST: f64 = 0.6;

fn curves<'a>(view: &View<'a>) -> Vec<(u32, &'a Series)> {
    let all = view.series_like(PREFIX, ".nanoseconds").into_iter();
    let cpu = |series: &'a Series| {
        let rest = series.name.strip_prefix(PREFIX)?;
        Some((rest.split('.').next()?.parse().ok()?, series))
    };
    all.filter_map(cpu).collect()
}

fn inputs(view: &View<'_>) -> Vec<Input> {
    let curves = curves(view).into_iter().map(|(_, series)| series);
    Input::of_series("way of a cache line", curves)
        .into_iter()
        .collect()
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    const LABEL: f64 = 34.0;
    let curves = curves(view);
    let mut ways: Vec<(u32, u32, f64)> = Vec::new();
    for (from, series) in &curves {
        let known = points(series).into_iter();
        ways.extend(known.filter_map(|(to, way)| Some((*from, to as u32, way?))));
    }
    let longest = ways.iter().map(|way| way.2).fold(0.0, f64::max);
    if longest <= 0.0 {
        return Err(super::reasons(&inputs(view)));
    }
    let cpus: Vec<u32> = curves.iter().map(|(cpu, _)| *cpu).collect();
    let each = ((frame.width - LABEL) / cpus.len() as f64).min(64.0);
    let canvas = Canvas::new(frame.width, LABEL + each * cpus.len() as f64 + 4.0);
    let place = |cpu: u32| cpus.iter().position(|known| *known == cpu);
    // Numbers of CPUs at every cell, or as often as they have room.
    let stride = (22.0 / each).ceil().max(1.0) as usize;
    let soft = Type::plain(Ink::Soft).size(11.0);
    for (index, cpu) in cpus.iter().enumerate().step_by(stride) {
        let middle = LABEL + each * (index as f64 + 0.5);
        let name = cpu.to_string();
        canvas.text((middle, LABEL - 12.0), &name, soft.align(Align::Middle));
        canvas.text((LABEL - 8.0, middle), &name, soft.align(Align::End));
    }
    canvas.text((0.0, 8.0), "CPU", soft);
    for (from, to, way) in &ways {
        let (Some(row), Some(column)) = (place(*from), place(*to)) else {
            continue;
        };
        let at = |index: usize| LABEL + each * index as f64;
        let corner = (at(column) + 0.5, at(row) + 0.5);
        let told = format!("CPU {from} to CPU {to}: {way:.0} ns");
        canvas.hover(&told, |canvas| {
            let heat = 0.04 + (STRONGEST - 0.04) * way / longest;
            canvas.fill(corner, (each - 1.0, each - 1.0), Ink::Blue, heat);
            if each >= 26.0 {
                let centre = (at(column) + each / 2.0, at(row) + each / 2.0);
                let look = Type::plain(Ink::Text).size(11.0).align(Align::Middle);
                canvas.text(centre, &format!("{way:.0}"), look);
            }
        });
    }
    let shortest = ways.iter().map(|way| way.2).fold(longest, f64::min);
    let words = format!(
        "{} CPUs, {shortest:.0} to {longest:.0} ns from one to another.",
        cpus.len()
    );
    Ok(canvas.finish(words))
}
