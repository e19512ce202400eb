# Makes a persona and prints its id.
persona personas create "A 58-year-old bookseller from Istanbul who hides letters in old books" --visibility workspace
