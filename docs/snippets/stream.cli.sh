# Makes a persona, and follows its run event by event; a connection that is cut is taken up where it broke off.
run=$(persona personas create "A 66-year-old chef from Sydney who collects vintage cars" --no-wait)
persona runs tail "$run"
