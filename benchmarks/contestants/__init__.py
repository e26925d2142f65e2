"""Those who are measured. Each module is imported in a process of its own and imports only its own framework."""
