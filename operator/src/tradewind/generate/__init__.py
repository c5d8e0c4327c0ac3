"""What is made of the declarations: definitions, rights, manifests, the chart's templates and the reference."""
