#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "core/generator.h"
#include "reprise/tensor.h"

namespace reprise {

/// What the denoiser predicts: the noise, the velocity of Salimans and Ho (2202.00512), the clean sample,
/// or the velocity of flow matching (2209.03003).
enum class PredictionType { epsilon, v_prediction, sample, flow };

/// One call of the denoiser.
struct Evaluation {
    int step;        ///< the sampler step it belongs to, from 0
    float timestep;  ///< what the denoiser embeds
};

/// One sampling run: tells which evaluations to make, and turns the output of each into the next sample.
/// Tensors are f32 of one shape throughout the run. Evaluations are made once each, in order. A run belongs
/// to one generation; it does not refer to the Scheduler that made it.
class Sampler {
  public:
    virtual ~Sampler() = default;
    Sampler(const Sampler&) = delete;
    Sampler& operator=(const Sampler&) = delete;

    /// In calling order. Heun makes 2n-1 for n steps, PNDM n+1 (from the second step on), others n.
    const std::vector<Evaluation>& evaluations() const { return evaluations_; }
    int num_steps() const { return evaluations_.back().step + 1; }
    /// What standard normal noise is multiplied by to become the first sample.
    float init_noise_sigma() const { return init_noise_sigma_; }
    /// The noise level at an evaluation: noise over signal (k-diffusion's sigma); for flow matching, the
    /// share of noise.
    float sigma(int evaluation) const { return sigmas_.at(static_cast<std::size_t>(evaluation)); }

    /// The sample as the denoiser takes it at this evaluation.
    Tensor scale_model_input(const Tensor& sample, int evaluation) const;
    /// The sample for the next evaluation, or the result after the last. `generator` is needed where the
    /// scheduler is stochastic: exactly diffusers' draws, in its order. Error (failure) when an evaluation
    /// is out of turn or the shapes differ.
    Tensor step(const Tensor& model_output, int evaluation, const Tensor& sample, Generator* generator);
    /// Leaves out the evaluations before this one: the run starts there, as diffusers' `set_begin_index` has
    /// it. Methods that remember earlier outputs have none yet. Error (failure) once it is under way.
    void begin_at(int evaluation);
    /// From now on the first sample is the noise itself, and the denoiser takes samples as they are.
    void leave_unscaled() {
        is_scaled_ = false;
        init_noise_sigma_ = 1;
    }

  protected:
    /// `sigmas` holds at least one per evaluation.
    Sampler(std::vector<Evaluation> evaluations, std::vector<float> sigmas, float init_noise_sigma);

    const std::vector<float>& sigmas() const { return sigmas_; }
    float timestep(std::size_t evaluation) const { return evaluations_[evaluation].timestep; }

  private:
    virtual Tensor scaled(const Tensor& sample, std::size_t evaluation) const;  // the sample itself
    virtual Tensor advance(const Tensor& model_output, std::size_t evaluation, const Tensor& sample,
                           Generator* generator) = 0;

    std::vector<Evaluation> evaluations_;
    std::vector<float> sigmas_;
    float init_noise_sigma_;
    bool is_scaled_ = true;
    int next_ = 0;
};

/// A sampling method with its settings; immutable, so that threads may share it.
class Scheduler {
  public:
    virtual ~Scheduler() = default;

    /// Starts a run. Error (usage) when the method cannot make so many steps.
    std::unique_ptr<Sampler> start(int num_inference_steps) const;
    /// The name of diffusers' class.
    virtual std::string_view name() const = 0;
    virtual PredictionType prediction_type() const = 0;
    /// Whether steps draw noise.
    virtual bool stochastic() const { return false; }
    /// Whether a run may start at a later evaluation.
    virtual bool starts_later() const { return true; }
    /// Whether runs scale the noise and the denoiser's samples, as they do unless a pipeline says no.
    void set_scales(bool scales) { scales_ = scales; }

  private:
    virtual std::unique_ptr<Sampler> make_sampler(int num_inference_steps) const = 0;

    bool scales_ = true;
};

}  // namespace reprise
