#pragma once

#include <span>
#include <vector>

namespace reprise {

/// numpy.linspace(start, stop, count).
std::vector<double> linspace(double start, double stop, int count);
/// torch.linspace(start, stop, count, dtype=float32), bit for bit (its CPU code fuses multiply and add).
std::vector<float> linspace_f32(double start, double stop, int count);
/// numpy.interp(x, range(len(values)), values).
double interpolate(double x, std::span<const float> values);
/// Where a noise level falls in a table of ascending log sigmas, in table positions.
double sigma_to_timestep(double sigma, std::span<const float> log_sigmas);
/// Descending noise levels after Karras et al. (2206.00364), rho 7.
std::vector<double> karras_sigmas(double sigma_min, double sigma_max, int count);
/// Descending noise levels, equidistant in their logarithm.
std::vector<double> exponential_sigmas(double sigma_min, double sigma_max, int count);

std::vector<float> to_floats(std::span<const double> values);

}  // namespace reprise
