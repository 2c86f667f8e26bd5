//! Sampling campaigns: what was drawn from what, and what that says of all the others.

mod lines;
mod page;
mod statement;
mod texts;

pub use lines::{Drawn, campaign_text};
pub use page::{Sampled, campaign};
pub use statement::{Conclusion, statement};
