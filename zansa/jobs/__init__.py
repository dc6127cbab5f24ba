"""The work of each verb, one file a verb."""
