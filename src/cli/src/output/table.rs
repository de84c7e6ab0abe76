//! Tables in plain text: columns as wide as their widest cell, two spaces between.

/// Lines of a table; the last column is not padded. Empty rows give only the heading.
pub(crate) fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(heading.iter().copied(), &widths);
    for row in rows {
        text.push('\n');
        text.push_str(&line(row.iter().map(String::as_str), &widths));
    }
    text
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let padded: Vec<String> = cells.zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_characters() {
        let rows = vec![vec!["é".to_owned(), "2".to_owned()], vec!["long".to_owned(), "3".to_owned()]];
        assert_eq!(render(&["A", "NUMBER"], &rows), "A     NUMBER\né     2\nlong  3");
        assert_eq!(render(&["A", "B"], &[]), "A  B");
    }
}
