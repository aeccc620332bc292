//! A bar chart for a terminal: one line each, longest bar first, eighths of a character.

use crate::numbers;

const EIGHTHS: [&str; 9] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/// Lines of a bar chart over `(label, value)` in the order given; the largest value gets `width` characters.
#[must_use]
pub fn bars(rows: &[(String, u64)], width: usize) -> Vec<String> {
    let largest = rows
        .iter()
        .map(|(_, value)| *value)
        .max()
        .unwrap_or(0)
        .max(1);
    let label_width = rows
        .iter()
        .map(|(label, _)| label.chars().count())
        .max()
        .unwrap_or(0);
    let number_width = numbers::count(largest).len();
    rows.iter()
        .map(|(label, value)| {
            let eighths = (*value as f64 / largest as f64 * (width * 8) as f64).round() as usize;
            let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
            let padding = " ".repeat(label_width - label.chars().count());
            format!(
                "  {padding}{label}  {:>number_width$}  {bar}",
                numbers::count(*value)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_fills_the_width_and_half_of_it_half() {
        let lines = bars(&[("the".into(), 1000), ("lighthouse".into(), 500)], 10);
        assert_eq!(lines[0], "         the  1,000  ██████████");
        assert_eq!(lines[1], "  lighthouse    500  █████");
    }

    #[test]
    fn no_rows_and_zero_values_draw_nothing_and_do_not_divide_by_zero() {
        assert!(bars(&[], 10).is_empty());
        assert_eq!(bars(&[("a".into(), 0)], 10), ["  a  0  "]);
    }
}
