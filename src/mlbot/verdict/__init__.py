"""From evidence to a verdict: gates and waivers."""
