"""How good the models of the recipes are beside those that a data scientist makes with scikit-learn."""
