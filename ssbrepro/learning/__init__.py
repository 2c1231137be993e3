"""What residual networks do while they learn (ssb2018, section 4 and appendix A)."""
