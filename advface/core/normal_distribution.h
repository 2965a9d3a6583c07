// The standard normal distribution, in doubles.
#pragma once

namespace advf {

// Phi. Its lower tail keeps its relative precision.
double normal_cdf(double x);
// The inverse of Phi, by bisection to neighbours among doubles; p in [0, 1], at whose ends it is infinite.
double normal_quantile(double p);

}  // namespace advf
