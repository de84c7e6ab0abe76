//! The lease and chain protocol as a model that is explored to the end.
