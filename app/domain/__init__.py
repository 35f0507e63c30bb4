"""What cere-bro is about: its records, and every judgement as a pure function. No input or output."""
