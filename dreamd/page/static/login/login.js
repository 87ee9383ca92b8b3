// The place that somebody wanted to see stands behind the address, which no form sends: it is kept over the sign-in.

document.querySelector("form").action += location.hash;
