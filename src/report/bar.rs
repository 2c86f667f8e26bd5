//! The recovery time as a picture: its phases enlarged, and the whole against the objective.
//!
//! Geometry only, in the units of a 720 wide view box; the texts stand in the table beside it.

use crate::ledger::details::Phase;

/// The width that the bars may fill.
const WIDTH: f64 = 720.0;
/// Narrower than this, a phase's number does not fit into its piece.
const ROOM_FOR_A_NUMBER: f64 = 18.0;

/// One counted phase as a piece of the first bar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// The phase's place in the table, from 1.
    pub number: usize,
    pub x: f64,
    pub width: f64,
    /// Where its number stands; None where there is no room for it.
    pub label: Option<f64>,
    /// Which of the style sheet's five shades.
    pub shade: usize,
}

/// The second bar: the recovery time on the objective's scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Against {
    pub width: f64,
    /// Where the target line stands.
    pub target: f64,
    pub met: bool,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    pub pieces: Vec<Piece>,
    pub against: Option<Against>,
}

impl Bar {
    /// Draws the phases that count and, where an objective is declared, the total beside it.
    pub(super) fn new(phases: &[Phase], recovery_ms: Option<u64>, rto_ms: Option<u64>) -> Self {
        let counted = || phases.iter().enumerate().filter(|(_, phase)| phase.counts);
        let total: f64 = counted().map(|(_, phase)| phase.duration_ms as f64).sum();
        let mut pieces = Vec::new();
        let mut x = 0.0;
        for (at, phase) in counted().filter(|(_, phase)| phase.duration_ms > 0) {
            let width = phase.duration_ms as f64 / total * WIDTH;
            let label = (width >= ROOM_FOR_A_NUMBER).then_some(x + width / 2.0);
            pieces.push(Piece { number: at + 1, x, width, label, shade: at % 5 });
            x += width;
        }
        let against = recovery_ms.zip(rto_ms).map(|(took, objective)| {
            // Room is left beyond the longer of both, so that neither touches the edge.
            let scale = WIDTH * 0.92 / took.max(objective).max(1) as f64;
            Against {
                width: (took as f64 * scale).max(1.5),
                target: objective as f64 * scale,
                met: took <= objective,
            }
        });
        Self { pieces, against }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &str, duration_ms: u64, counts: bool) -> Phase {
        Phase { name: name.into(), duration_ms, counts }
    }

    #[test]
    fn pieces_fill_the_width_without_what_does_not_count() {
        let phases =
            [phase("queue", 9000, false), phase("fetch", 3000, true), phase("load", 1000, true)];

        let bar = Bar::new(&phases, Some(4000), None);

        let drawn: Vec<_> = bar.pieces.iter().map(|p| (p.number, p.x, p.width)).collect();
        assert_eq!(drawn, [(2, 0.0, 540.0), (3, 540.0, 180.0)]);
        assert_eq!(bar.against, None);
    }

    #[test]
    fn a_time_over_its_objective_is_drawn_beyond_the_target() {
        let over = Bar::new(&[], Some(2000), Some(1000)).against.unwrap();
        assert!(!over.met && over.width > over.target && over.width <= WIDTH);

        let under = Bar::new(&[], Some(1), Some(10_000_000)).against.unwrap();
        assert!(under.met && under.width > 1.0 && under.width < under.target);
    }

    #[test]
    fn nothing_measured_draws_nothing_and_divides_by_nothing() {
        let bar = Bar::new(&[phase("load", 0, true)], Some(0), Some(0));

        assert!(bar.pieces.is_empty());
        assert!(bar.against.unwrap().width.is_finite());
    }
}
