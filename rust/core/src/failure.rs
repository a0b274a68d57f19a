//! What went wrong, whose fault it is and whether trying again helps: one table.
