//! What every floor stands on. A closed list: nothing else belongs here.

pub mod causes;
pub mod clock;
pub mod digest;
pub mod ids;
pub mod pace;
pub mod process;
pub mod progress;
pub mod secret;
pub mod size;
pub mod visible;
