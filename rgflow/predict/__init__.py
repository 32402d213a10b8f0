"""What networks of a flow do: how deep for their width, what they say before, during and after learning."""
