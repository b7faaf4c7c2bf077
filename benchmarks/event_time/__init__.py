"""Event time: the data and the loops by hand that rows and peers are compared with."""
