//! The caches as a table, beside the picture that shows who shares them.

use maud::{Markup, html};

use crate::report::draw::clean;
use crate::report::values::many;
use crate::report::view::View;
use crate::units::Bytes;

/// One row per kind of cache; equal instances share it.
pub(super) fn table(view: &View<'_>) -> Markup {
    let mut rows: Vec<([String; 5], usize)> = Vec::new();
    let mut disagreements: Vec<String> = Vec::new();
    for cache in &view.run.machine.caches {
        let kind = if cache.kind == "unified" {
            String::new()
        } else {
            format!(" {}", clean(&cache.kind))
        };
        let name = format!("L{}{kind}", cache.level);
        if let Some(other) = &cache.disagreement {
            let text = format!(
                "{name}: {} says {}, but {}",
                clean(&cache.source),
                Bytes(cache.bytes as f64),
                clean(other)
            );
            if !disagreements.contains(&text) {
                disagreements.push(text);
            }
        }
        let size = Bytes(cache.bytes as f64).to_string();
        let ways = cache
            .ways
            .map_or_else(|| "\u{2013}".to_owned(), |ways| ways.to_string());
        let row = [
            name,
            size,
            ways,
            Bytes(f64::from(cache.line_bytes)).to_string(),
            many(cache.shared_by.len(), "CPU"),
        ];
        match rows.iter_mut().find(|known| known.0 == row) {
            Some(known) => known.1 += 1,
            None => rows.push((row, 1)),
        }
    }
    html! {
        @if !rows.is_empty() {
            table.key {
                thead { tr { th { "cache" } th.n { "count" } th.n { "size" } th.n.optional { "ways" } th.n.optional { "line" } th.n { "shared by" } } }
                tbody { @for ([name, size, ways, line, sharers], count) in rows.iter().take(40) {
                    tr { td { (name) } td.n { (count) } td.n { (size) } td.n.optional { (ways) } td.n.optional { (line) } td.n { (sharers) } }
                } }
            }
            @for text in disagreements.iter().take(8) { p.sub { (text) } }
        }
    }
}
