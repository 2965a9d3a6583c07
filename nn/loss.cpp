namespace advf {}
