//! A table of cells whose colour grows with their value: the part that pictures of many cases share.

use crate::report::draw::{Align, Canvas, Ink, Stroke, Type, fit, width};

/// One table.
pub(super) struct Heat {
    /// Over it.
    pub(super) title: String,
    /// Headings in one or two lines.
    pub(super) columns: Vec<Vec<String>>,
    /// Heading of what stands behind the cells, where something does.
    pub(super) end: Option<&'static str>,
    /// From the top.
    pub(super) rows: Vec<Row>,
}

/// One row.
pub(super) struct Row {
    /// In front of it.
    pub(super) label: String,
    /// As many as there are columns.
    pub(super) cells: Vec<Cell>,
    /// Behind it.
    pub(super) end: Option<(String, Ink)>,
}

/// One cell.
#[derive(Clone)]
pub(super) struct Cell {
    /// In it.
    pub(super) text: String,
    /// How strong its colour is: 0 to 1; `None` for a cell without a number.
    pub(super) heat: Option<f64>,
    /// Framed: the best of its row.
    pub(super) best: bool,
    /// For the pointer.
    pub(super) hover: String,
}

const ROW: f64 = 21.0;
const HEAD: f64 = 24.0;
const HEADINGS: f64 = 30.0;

/// Strongest colour: text stays readable over it.
const STRONGEST: f64 = 0.42;

/// Room for labels in front and for what stands behind.
#[derive(Clone, Copy)]
pub(super) struct Margins {
    pub(super) label: f64,
    pub(super) end: f64,
}

impl Heat {
    /// How high it is.
    pub(super) fn height(&self) -> f64 {
        HEAD + HEADINGS + ROW * self.rows.len() as f64
    }

    /// Draws it with its upper left corner at `corner`.
    pub(super) fn draw(&self, canvas: &Canvas, corner: (f64, f64), width: f64, margins: Margins) {
        let (x, y) = corner;
        let end = if self.end.is_some() { margins.end } else { 0.0 };
        let each = (width - margins.label - end) / self.columns.len().max(1) as f64;
        let middle = |column: usize| x + margins.label + (column as f64 + 0.5) * each;
        let lines = self.columns.iter().flatten().map(String::as_str);
        let heading = size(lines, 10.5, each - 2.0);
        let labels = self.rows.iter().map(|row| row.label.as_str());
        let label_size = size(labels, 11.0, margins.label - 6.0);
        let title = Type::plain(Ink::Text).bold();
        canvas.text((x, y + 8.0), &self.title, title);
        for (column, lines) in self.columns.iter().enumerate() {
            for (line, text) in lines.iter().take(2).enumerate() {
                let low = (2 - lines.len().min(2) + line) as f64;
                let place = (middle(column), y + HEAD + 5.0 + low * 12.0);
                let look = Type::plain(Ink::Soft).size(heading).align(Align::Middle);
                canvas.text(place, &fit(text, heading, false, each - 2.0), look);
            }
        }
        if let Some(behind) = self.end {
            let place = (x + width, y + HEAD + 17.0);
            let look = Type::plain(Ink::Soft).size(10.5).align(Align::End);
            canvas.text(place, behind, look);
        }
        for (index, row) in self.rows.iter().enumerate() {
            let top = y + HEAD + HEADINGS + index as f64 * ROW;
            let centre = top + ROW / 2.0;
            let label = fit(&row.label, label_size, false, margins.label - 6.0);
            canvas.text((x, centre), &label, Type::plain(Ink::Text).size(label_size));
            for (column, cell) in row.cells.iter().enumerate() {
                let left = x + margins.label + column as f64 * each;
                cell.draw(canvas, (left + 1.0, top + 1.0), (each - 2.0, ROW - 2.0));
            }
            if let Some((text, ink)) = &row.end {
                let look = Type::plain(*ink).size(11.0).bold().align(Align::End);
                canvas.text((x + width, centre), &fit(text, 11.0, true, end - 4.0), look);
            }
        }
    }
}

/// `wanted`, or as much smaller as all of `texts` need to fit into `room`, as long as they can be read.
fn size<'t>(texts: impl Iterator<Item = &'t str>, wanted: f64, room: f64) -> f64 {
    const LEAST: f64 = 8.4;
    let widest = texts
        .map(|text| width(text, wanted, false))
        .fold(1.0, f64::max);
    (wanted * room / widest).clamp(LEAST, wanted)
}

impl Cell {
    /// A cell without a number, and why.
    pub(super) fn empty(reason: &str) -> Self {
        Self {
            text: "\u{2013}".to_owned(),
            heat: None,
            best: false,
            hover: reason.to_owned(),
        }
    }

    fn draw(&self, canvas: &Canvas, corner: (f64, f64), size: (f64, f64)) {
        canvas.hover(&self.hover, |canvas| {
            if let Some(heat) = self.heat {
                let opacity = 0.04 + (STRONGEST - 0.04) * heat.clamp(0.0, 1.0);
                canvas.fill(corner, size, Ink::Blue, opacity);
            }
            if self.best {
                canvas.frame(corner, size, 2.0, Stroke::solid(Ink::Text, 1.2));
            }
            let ink = if self.heat.is_some() {
                Ink::Text
            } else {
                Ink::Soft
            };
            let mut look = Type::plain(ink).size(11.0).align(Align::Middle);
            look.bold = self.best;
            let centre = (corner.0 + size.0 / 2.0, corner.1 + size.1 / 2.0);
            canvas.text(centre, &fit(&self.text, 11.0, self.best, size.0), look);
        });
    }
}

/// Draws tables beside each other where there is room, else one under the other: the canvas.
pub(super) fn tables(width: f64, narrow: bool, tables: &[Heat], margins: Margins) -> Canvas {
    const GAP: f64 = 34.0;
    let across = if narrow { 1 } else { tables.len().clamp(1, 2) };
    let each = (width - GAP * (across - 1) as f64) / across as f64;
    let rows: Vec<&[Heat]> = tables.chunks(across).collect();
    let height_of = |row: &[Heat]| row.iter().map(Heat::height).fold(0.0, f64::max);
    let height: f64 = rows.iter().map(|row| height_of(row) + GAP).sum();
    let canvas = Canvas::new(width, (height - GAP + 4.0).max(40.0));
    let mut y = 0.0;
    for row in rows {
        for (column, table) in row.iter().enumerate() {
            let x = column as f64 * (each + GAP);
            table.draw(&canvas, (x, y), each, margins);
        }
        y += height_of(row) + GAP;
    }
    canvas
}
