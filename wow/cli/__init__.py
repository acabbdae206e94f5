"""The command line: one file per command. `options` holds the conventions, `verbs` the table, `main` the rest."""
