"""The 12-bit task of Shwartz-Ziv & Tishby (2017), and the information plane of networks on it."""
