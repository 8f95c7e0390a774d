#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reprise/animate.h"
#include "reprise/embeddings.h"
#include "reprise/image.h"
#include "reprise/message.h"
#include "reprise/reuse.h"
#include "reprise/tensor.h"

namespace reprise::pipelines {
class DiffusionPipeline;  // not for users, and so before what is exported
}

#pragma GCC visibility push(default)

namespace reprise {

/// How a pipeline runs. These options are fixed when it is loaded.
struct LoadOptions {
    std::string backend;         ///< "openvino", "reference"; empty: the first that this build has
    std::string device = "CPU";  ///< the name of any device that the backend has
    /// Precision of the denoiser and the text encoders. Not given: bf16 where the device has it and is faster
    /// with it, otherwise f32.
    std::optional<DType> precision;
    /// Precision of the autoencoder. Not given: bf16 where the device has it and is faster with it, otherwise
    /// f32. A picture that is not finite in 16 bits is decoded again in f32, with a warning.
    std::optional<DType> vae_precision;
    int threads = 0;      ///< 0: one per core that the control group allows
    std::string variant;  ///< of the weight files, such as "fp16"; empty: full precision if it exists
    /// Bytes of each compiled component (text encoder, denoiser, autoencoder) that may stay in memory between
    /// its uses. Not given: what a call used stays as far as free memory allows, and the next call compiles
    /// nothing. 0: each component is freed after its use; a call takes the least memory, and compiles again.
    std::optional<std::int64_t> memory_limit = {};
    /// The older name of `memory_limit`, as a number of parameters. It warns, and goes with version 0.2.
    std::optional<std::int64_t> keep_parameters_below = {};
    /// Whether text encoders are opened. If not, they need not be in the folder, and prompts are given as
    /// GenerateOptions::embeddings.
    bool text_encoders = true;
};

/// How the conditional and unconditional halves of guidance run.
enum class GuidanceMode {
    automatic,  ///< the faster of the two by a short timing, for this model and size
    batched,    ///< as one batch of two
    split,      ///< as two passes over the same compiled pieces: half the scratch memory
};

/// One sampler step. A callback gets it after the step.
struct StepInfo {
    int step = 0;  ///< from 0
    int num_steps = 0;
    double seconds = 0;      ///< time of this step
    bool reused = false;     ///< whether any module was reused
    double flops_share = 1;  ///< this step's FLOPs as a share of a full step's
    /// The modules that were reused, and "unconditional" or "conditional" for a half of guidance that was
    /// not evaluated.
    std::vector<std::string> reused_modules = {};
    double timestep = 0;  ///< of the step's first evaluation, as the denoiser embeds it
    /// The latents after the step, with the shape of GenerateOutput::latents; set only while the callback
    /// runs. They are shared, not copied: a callback may keep them, and must not write to them. It may assign
    /// other latents.
    Tensor latents = {};
    bool last = false;  ///< a callback sets it to skip the remaining steps and decode the latents
};

/// Texts of one of several prompts. A text that is not given is that of GenerateOptions.
struct PromptTexts {
    std::optional<std::string> prompt_2 = {}, prompt_3 = {};
    std::optional<std::string> negative_prompt = {}, negative_prompt_2 = {}, negative_prompt_3 = {};
};

/// What to generate. Names and defaults are diffusers'. An option that the model cannot honour is refused.
struct GenerateOptions {
    std::string prompt;
    std::vector<std::string> prompts = {};            ///< several at once, instead of `prompt`
    std::optional<std::string> prompt_2 = {};         ///< for the second text encoder; none: the prompt
    std::optional<std::string> prompt_3 = {};         ///< for the third text encoder; none: the prompt
    std::optional<std::string> negative_prompt = {};  ///< none is not the same as empty: SDXL takes zeros
    std::optional<std::string> negative_prompt_2 = {};
    std::optional<std::string> negative_prompt_3 = {};
    std::vector<PromptTexts> prompt_texts = {};       ///< one for each of `prompts`, or none
    std::optional<PromptEmbeddings> embeddings = {};  ///< of prompts, in place of all texts
    Image image = {};                                 ///< the first picture of an image-to-video pipeline
    AnimateOptions video = {};                        ///< other options of an image-to-video pipeline
    std::optional<int> num_inference_steps = {};      ///< none: the folder's default, or diffusers'
    std::optional<double> guidance_scale = {};        ///< none: as above; 1 or less: no guidance
    double guidance_rescale = 0.0;
    std::vector<int> skip_guidance_layers = {};  ///< refused unless empty: there is no third branch
    int width = 0, height = 0;                   ///< in pixels; 0: the size that the model was trained for
    std::uint64_t seed = 0;
    int num_images_per_prompt = 1;
    /// Of the pictures or videos that the options ask for, counted from 0 prompt by prompt, this one alone is
    /// drawn. It is the same as among all of them.
    std::optional<int> only_picture = {};
    std::optional<int> clip_skip = {};
    std::optional<int> max_sequence_length = {};  ///< tokens of a T5 encoder; none: the pipeline's own
    bool clean_caption = true;                    ///< PixArt: removes links, markup and entities from prompts
    bool use_resolution_binning = true;  ///< PixArt: draws at the nearest size that it was trained for
    std::optional<std::pair<int, int>> original_size = {};  ///< (height, width); none: the picture's
    std::pair<int, int> crops_coords_top_left = {0, 0};
    std::optional<std::pair<int, int>> target_size = {};
    std::string scheduler = {};  ///< a name such as "dpm++2m-karras"; empty: the folder's own
    GuidanceMode guidance_mode = GuidanceMode::automatic;
    /// Standard normal noise that replaces the seed's; f32, with the shape of GenerateOutput::latents.
    Tensor latents = {};
    /// The part of the way from noise to picture that the call makes (Stable Diffusion XL): shares of the
    /// noise levels that the model was trained for, between 0, which is noise, and 1. Not given: from noise,
    /// to the picture. What a call with denoising_end makes is no picture yet: a refiner goes on from its
    /// latents.
    std::optional<double> denoising_start = {}, denoising_end = {};
    /// The latents that a call with denoising_start starts from: GenerateOutput::latents of one with the same
    /// denoising_end. f32, a row for each picture, or fewer that are repeated. diffusers has them as `image`.
    Tensor start_latents = {};
    /// What Stable Diffusion XL's refiner is told of the picture, and of what to keep away from.
    double aesthetic_score = 6.0, negative_aesthetic_score = 2.5;
    bool decode = true;  ///< false: no autoencoder runs, and GenerateOutput::images is empty
    /// What is reused between steps. Not given: what `cachify::prepare` left on the pipeline, or nothing.
    std::optional<Reuse> reuse = {};
    /// Called after each step. If it returns false, the run stops with an Error of kind `cancelled`.
    std::function<bool(StepInfo&)> callback_on_step_end = {};
    /// Called when a phase begins: "text encoder", "compile 2/3", "denoise", "decode".
    std::function<void(std::string_view)> on_phase = {};
    /// Hears each of RunReport::messages as soon as it is known. Not given: the log has it, once for each
    /// pipeline until something else is prepared.
    OnMessage on_message = {};
    /// A stop ends the call with an Error of kind `cancelled`: within a step, between two components, and
    /// while it waits for a compilation, which goes on for others who wait for it.
    std::stop_token stop = {};
};

/// What a process holds of compiled code, of all pipelines together, for calls to come. Sizes are the
/// backend's estimates.
struct HeldCode {
    std::size_t pieces = 0;  ///< compiled graphs
    double bytes = 0;
    double mappings = 0;      ///< of memory; the system allows a process so many
    double bytes_in_use = 0;  ///< of these, what other calls were running then: it cannot be freed
};

/// What one of several denoisers did in a run.
struct StageReport {
    std::string denoiser;  ///< the component: "transformer_2"
    int first_step = 0;    ///< the sampler's step that is its step 0
    std::string summary;
    std::vector<std::vector<int>> decisions;  ///< as RunReport::decisions, its own steps
};

/// What happened in a run. Times are in seconds.
struct RunReport {
    std::vector<StepInfo> steps;
    double text_seconds = 0, compile_seconds = 0, denoise_seconds = 0, decode_seconds = 0;
    double denoise_cpu_seconds = 0;  ///< CPU time of all threads of the process while it denoised
    /// How long threads of the process were ready to run but had no CPU while it denoised. Where this is a
    /// large share of the CPU time, other processes use the CPUs. CPU time then says more than the clock.
    double denoise_waited_seconds = 0;
    std::string scheduler;  ///< diffusers' class
    std::string precision;  ///< of the denoiser
    GuidanceMode guidance_mode = GuidanceMode::batched;
    bool reuse = false;  ///< whether a prepared configuration was used
    std::size_t segments = 0;
    double flops_full = 0;           ///< of all steps without reuse, one picture
    double flops_run = 0;            ///< of what was run, one picture
    std::size_t kept_bytes = 0;      ///< values that reuse keeps between steps, one picture
    std::size_t prologue_bytes = 0;  ///< values that are computed once, one picture
    std::size_t scratch_bytes = 0;   ///< slots within a step
    HeldCode held;                   ///< at the end of the call
    /// Where reuse is decided while running: for each picture the steps that were reused, counted from the
    /// first that is made. Empty where several denoisers ran: then `stages` has them.
    std::vector<std::vector<int>> decisions;
    std::vector<StageReport> stages;      ///< where several denoisers ran, one for each
    std::vector<std::string> complaints;  ///< such as NaN in the values that a module keeps
    std::vector<Message> messages;        ///< what the call had to say, each once

    /// "reused 14 of 17 modules at 10 of 20 steps: 47 % of the work saved, 1.2 MB kept".
    std::string summary;
};

struct GenerateOutput {
    std::vector<Image> images;  ///< prompt by prompt, image by image; for videos, frame by frame
    /// Final latents (images, channels, height / 8, width / 8), f32, as with diffusers' output_type="latent".
    /// For videos (videos, frames, channels, height / 8, width / 8).
    Tensor latents;
    RunReport report;
};

/// A diffusion pipeline. It makes pictures or frames from a prompt or a picture. Several threads may call it
/// at once, each with its own options and reuse; the calls share compiled pieces. `cachify` functions may run
/// beside calls: a call reads what is prepared once, when it begins.
class Pipeline {
  public:
    /// Opens a folder in diffusers' layout. Error (usage) that names what is missing, broken or not
    /// supported.
    static Pipeline from_pretrained(const std::filesystem::path& folder, const LoadOptions& options = {});
    Pipeline(Pipeline&&) noexcept;
    Pipeline& operator=(Pipeline&&) noexcept;
    ~Pipeline();

    GenerateOutput operator()(const GenerateOptions& options) const;
    /// The text encoders' outputs for the options' prompts and negative prompt. A call with them as
    /// GenerateOptions::embeddings gives the same result as a call with the texts.
    PromptEmbeddings encode_prompt(const GenerateOptions& options) const;

    /// The pipeline's class in diffusers, such as "StableDiffusionXLPipeline".
    const std::string& class_name() const;
    /// The report of the last generation.
    RunReport last_report() const;

    /// The implementation, for the library's own parts.
    pipelines::DiffusionPipeline& implementation() const { return *implementation_; }

  private:
    explicit Pipeline(std::unique_ptr<pipelines::DiffusionPipeline> implementation);
    std::unique_ptr<pipelines::DiffusionPipeline> implementation_;
};

}  // namespace reprise

#pragma GCC visibility pop
