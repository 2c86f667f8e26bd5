//! All costs, and what is made of them: medians, and ratios within the rounds.

use super::measure::Cost;
use super::tool::Tool;

#[derive(Default)]
pub struct Table {
    /// One cost a round.
    rows: Vec<(&'static str, Tool, Vec<Cost>)>,
}

impl Table {
    pub fn note(&mut self, step: &'static str, tool: Tool, cost: Cost) {
        match self.rows.iter_mut().find(|row| (row.0, row.1) == (step, tool)) {
            Some((_, _, costs)) => costs.push(cost),
            None => self.rows.push((step, tool, vec![cost])),
        }
    }

    /// Notes as `whole` what the newest `last` cost with the `before` that a tool needed for it.
    pub fn sum(&mut self, whole: &'static str, before: &str, last: &str) {
        let newest = |step: &str, tool: Tool| {
            let row = self.rows.iter().find(|row| (row.0, row.1) == (step, tool))?;
            row.2.last().copied()
        };
        let sum = |tool| {
            let before = newest(before, tool).unwrap_or_default();
            Some((tool, before.then(newest(last, tool)?)))
        };
        let sums: Vec<_> = Tool::ALL.into_iter().filter_map(sum).collect();
        for (tool, cost) in sums {
            self.note(whole, tool, cost);
        }
    }

    pub fn print(&self, on_s3: bool) {
        let requests = if on_s3 { " requests |" } else { "" };
        println!(
            "| step | tool | wall s | of restic | CPU s | of restic | peak MiB | stored MB |{requests}"
        );
        println!("|---|---|---|---|---|---|---|---|{}", if on_s3 { "---|" } else { "" });
        // Steps as they came, and in each the tools as they are listed: rounds run them in any order.
        let came = |step: &str| self.rows.iter().position(|row| row.0 == step);
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(step, tool, _)| (came(step), *tool as usize));
        for (step, tool, costs) in rows {
            let wall = |cost: &Cost| cost.wall;
            let cpu = |cost: &Cost| cost.cpu;
            let ratio = |of: &dyn Fn(&Cost) -> f64| match self.ratio(step, costs, of) {
                Some(ratio) => format!("{ratio:.2}"),
                None => String::new(),
            };
            print!(
                "| {step} | {} | {:.2} | {} | {:.2} | {} | {:.0} | {:.1} |",
                tool.name(),
                median(costs.iter().map(wall)),
                ratio(&wall),
                median(costs.iter().map(cpu)),
                ratio(&cpu),
                median(costs.iter().map(|cost| cost.memory as f64)) / 1048576.0,
                median(costs.iter().map(|cost| cost.stored as f64)) / 1e6,
            );
            if on_s3 {
                print!(" {:.0} |", median(costs.iter().map(|cost| cost.requests as f64)));
            }
            println!();
        }
    }

    /// The median of the rounds' ratios to restic in the same step.
    fn ratio(&self, step: &str, costs: &[Cost], of: &dyn Fn(&Cost) -> f64) -> Option<f64> {
        let restic = self.rows.iter().find(|row| row.0 == step && row.1 == Tool::Restic)?;
        let rounds = costs.iter().zip(&restic.2);
        Some(median(rounds.map(|(one, other)| of(one) / of(other))))
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = numbers.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
