//! Resident memory while it trains, over what each role was planned to take: flat from the first step on, or it is not planned.

use super::memory_plan::roles;
use super::{Chart, Frame, Span, Subject};
use crate::report::draw::{
    Axis, Canvas, Curve, Ink, Plot, Point, Svg, Type, draw_curves, extents, width,
};
use crate::report::values::{known, words};
use crate::report::view::{Input, View, points};
use crate::units::Bytes;

/// The row of the list.
pub(super) const CHART: Chart = Chart {
    id: "memory-use",
    title: "Memory over the run",
    how_to_read: "Resident memory after each step over the plan, role by role; a line that stays flat allocates nothing while it trains.",
    subject: Subject::Training,
    span: Span::Half,
    suite: "training",
    inputs,
    draw,
    table: None,
};

const MIB: f64 = 1024.0 * 1024.0;

fn inputs(view: &View<'_>) -> Vec<Input> {
    let resident = Input::of_series(
        "resident memory",
        view.series(&view.case_name("memory", "rss_bytes")),
    );
    if resident.is_none() {
        return Vec::new();
    }
    let plan = Input::of_metrics("plan", roles(view).into_iter().map(|role| role.1));
    resident.into_iter().chain(plan).collect()
}

/// The roles as bands over the whole run, from the bottom up; named where the name fits.
fn bands(canvas: &Canvas, plot: &Plot<'_>, view: &View<'_>) {
    let planned = roles(view).into_iter();
    let planned = planned.filter_map(|(role, metric)| Some((role, known(metric.value)?)));
    let mut from = 0.0;
    let (_, (_, top)) = plot.ends();
    for (index, (role, bytes)) in planned.filter(|role| role.1 > 0.0).enumerate() {
        if (from + bytes) / MIB > top {
            break;
        }
        let (low, high) = (
            plot.at(0.0, from / MIB).1,
            plot.at(0.0, (from + bytes) / MIB).1,
        );
        let (corner, size) = ((plot.area.x, high), (plot.area.width, low - high));
        let name = words(role);
        canvas.hover(&format!("{name}: {} planned", Bytes(bytes)), |canvas| {
            let opacity = if index % 2 == 0 { 0.16 } else { 0.07 };
            canvas.fill(corner, size, Ink::Blue, opacity);
            let fits = size.1 >= 15.0 && width(&name, 11.0, false) < size.0 - 12.0;
            if fits {
                let look = Type::plain(Ink::Soft).size(11.0);
                canvas.text((corner.0 + 6.0, (low + high) / 2.0), &name, look);
            }
        });
        from += bytes;
    }
}

fn draw(view: &View<'_>, frame: Frame) -> Result<Svg, String> {
    let series = view.series(&view.case_name("memory", "rss_bytes"));
    let mebi = |point: Point| (point.0, point.1.map(|bytes| bytes / MIB));
    let used: Vec<Point> = series
        .map(points)
        .unwrap_or_default()
        .into_iter()
        .map(mebi)
        .collect();
    let mut curves = vec![Curve::new("resident", used, Ink::Orange)];
    let Some((x, (_, highest))) = extents(&curves) else {
        return Err(super::reasons(&inputs(view)));
    };
    let plan = ["memory", "training"]
        .iter()
        .find_map(|suite| view.value(&view.name(suite, "planned_bytes")));
    if let Some(plan) = plan {
        curves.push(Curve::level("planned", plan / MIB, x, Ink::Blue));
    }
    let top = highest.max(plan.unwrap_or(0.0) / MIB);
    let canvas = Canvas::new(frame.width, if frame.narrow { 240.0 } else { 250.0 });
    let plot = draw_curves(
        &canvas,
        canvas.bounds(),
        &curves,
        (Axis::linear(x.0, x.1, 5), "step"),
        (Axis::rounded(0.0, top * 1.05, 4), "MiB"),
    );
    bands(&canvas, &plot, view);
    Ok(canvas.finish(format!("At most {}.", Bytes(highest * MIB))))
}
