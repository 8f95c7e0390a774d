#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reprise/animate.h"
#include "reprise/embeddings.h"
#include "reprise/image.h"
#include "reprise/tensor.h"

namespace reprise {

/// How a pipeline is run; fixed when it is loaded.
struct LoadOptions {
    std::string backend;         ///< "openvino", "reference"; empty: the first that this build has
    std::string device = "CPU";  ///< any device of the backend's
    /// Of the denoiser and the text encoders. Nothing: bf16 where the device has it and is faster in it, else
    /// f32.
    std::optional<DType> precision;
    /// Of the autoencoder. Nothing: bf16 where the device has it and is faster in it, else f32. A picture
    /// that is not finite in 16 bits is decoded again in f32, with a warning.
    std::optional<DType> vae_precision;
    int threads = 0;      ///< 0: one per core that the control group allows
    std::string variant;  ///< of the weight files, such as "fp16"; empty: the full-precision ones if there
    /// Components with more weights than this are let go after their turn: a text encoder and a denoiser of
    /// that size are never in memory together, and each call compiles them again. Raise it to keep them.
    std::int64_t keep_parameters_below = 100'000'000;
    /// Whether text encoders are opened. Without, they need not be in the folder, and prompts come as
    /// GenerateOptions::embeddings.
    bool text_encoders = true;
};

/// How the conditional and unconditional halves of guidance are run.
enum class GuidanceMode {
    automatic,  ///< what a short timing found faster for this model and size
    batched,    ///< as one batch of two
    split,      ///< as two passes over the same compiled pieces: half the scratch memory
};

/// One sampler step, as a callback sees it after the step.
struct StepInfo {
    int step = 0;  ///< from 0
    int num_steps = 0;
    double seconds = 0;      ///< of this step
    bool reused = false;     ///< whether any module was reused
    double flops_share = 1;  ///< of a full step's FLOPs
    /// The modules that were reused, and "unconditional" or "conditional" for a half of guidance that was
    /// not evaluated.
    std::vector<std::string> reused_modules = {};
    /// After the step, of GenerateOutput::latents' shape; only while the callback runs. Shared, not copied:
    /// it may be kept, and must not be written to.
    Tensor latents = {};
};

/// What to generate. Names and defaults are diffusers'; an option that the model cannot honour is refused.
struct GenerateOptions {
    std::string prompt;
    std::vector<std::string> prompts = {};            ///< several at once, instead of `prompt`
    std::optional<std::string> prompt_2 = {};         ///< for the second text encoder; none: the prompt
    std::optional<std::string> prompt_3 = {};         ///< for the third
    std::optional<std::string> negative_prompt = {};  ///< none differs from an empty one (SDXL's zeros)
    std::optional<std::string> negative_prompt_2 = {};
    std::optional<std::string> negative_prompt_3 = {};
    std::optional<PromptEmbeddings> embeddings = {};  ///< of prompts, in place of all texts
    Image image = {};                                 ///< what an image-to-video pipeline starts from
    AnimateOptions video = {};                        ///< the rest that it is asked
    std::optional<int> num_inference_steps = {};      ///< none: 50, or what the pipeline has in diffusers
    std::optional<double> guidance_scale = {};        ///< none: as above; guidance is off at 1 and below
    double guidance_rescale = 0.0;
    std::vector<int> skip_guidance_layers = {};  ///< refused: there is no such third branch
    int width = 0, height = 0;                   ///< in pixels; 0: what the model was trained for
    std::uint64_t seed = 0;
    int num_images_per_prompt = 1;
    std::optional<int> clip_skip = {};
    std::optional<int> max_sequence_length = {};  ///< tokens of a T5 encoder; none: the pipeline's own
    bool clean_caption = true;           ///< PixArt: tidies links, markup and entities out of prompts
    bool use_resolution_binning = true;  ///< PixArt: draws at the nearest size that it was trained for
    std::optional<std::pair<int, int>> original_size = {};  ///< (height, width); none: the picture's
    std::pair<int, int> crops_coords_top_left = {0, 0};
    std::optional<std::pair<int, int>> target_size = {};
    std::string scheduler = {};  ///< a name such as "dpm++2m-karras"; empty: the folder's own
    GuidanceMode guidance_mode = GuidanceMode::automatic;
    /// Standard normal noise in place of the seed's, f32, of the shape of GenerateOutput::latents.
    Tensor latents = {};
    bool decode = true;  ///< false: leave the autoencoder out; Output::images is empty
    /// Called after each step; returning false stops the run with an Error of kind `cancelled`.
    std::function<bool(const StepInfo&)> callback_on_step_end = {};
    /// Called when a phase begins: "text encoder", "compile 2/3", "denoise", "decode".
    std::function<void(std::string_view)> on_phase = {};
};

/// What happened in a run. Times are in seconds.
struct RunReport {
    std::vector<StepInfo> steps;
    double text_seconds = 0, compile_seconds = 0, denoise_seconds = 0, decode_seconds = 0;
    std::string scheduler;  ///< diffusers' class
    std::string precision;  ///< of the denoiser
    GuidanceMode guidance_mode = GuidanceMode::batched;
    bool reuse = false;  ///< whether a prepared configuration was in force
    std::size_t segments = 0;
    double flops_full = 0;           ///< of all steps without reuse, one picture
    double flops_run = 0;            ///< of what was run
    std::size_t kept_bytes = 0;      ///< what reuse keeps between steps, one picture
    std::size_t prologue_bytes = 0;  ///< what was computed once, one picture
    std::size_t scratch_bytes = 0;   ///< slots within a step
    /// Where reuse is decided while running: for each picture the steps that were reused.
    std::vector<std::vector<int>> decisions;
    std::vector<std::string> complaints;  ///< such as NaN in what a module keeps

    /// "reused 14 of 17 modules at 10 of 20 steps: 47 % of the work saved, 1.2 MB kept".
    std::string summary;
};

struct GenerateOutput {
    std::vector<Image> images;  ///< prompt by prompt, image by image; of videos, frame by frame
    /// Final latents (images, channels, height / 8, width / 8) f32, as diffusers' output_type="latent"; of
    /// videos (videos, frames, channels, height / 8, width / 8).
    Tensor latents;
    RunReport report;
};

namespace pipelines {
class DiffusionPipeline;
}

/// A diffusion pipeline: prompt or picture in, pictures or frames out. Calls are thread-safe and share
/// compiled pieces; `cachify` functions must not run at the same time as a call.
class Pipeline {
  public:
    /// Opens a folder in diffusers' layout. Error (usage) naming what is missing, broken or not supported.
    static Pipeline from_pretrained(const std::filesystem::path& folder, const LoadOptions& options = {});
    Pipeline(Pipeline&&) noexcept;
    Pipeline& operator=(Pipeline&&) noexcept;
    ~Pipeline();

    GenerateOutput operator()(const GenerateOptions& options) const;
    /// What the text encoders make of the options' prompts and negative prompt, for
    /// GenerateOptions::embeddings: a call with them gives what a call with the texts gives.
    PromptEmbeddings encode_prompt(const GenerateOptions& options) const;

    /// The pipeline's class in diffusers, such as "StableDiffusionXLPipeline".
    const std::string& class_name() const;
    /// What the last generation reported.
    RunReport last_report() const;

    /// The implementation, for the library's own parts.
    pipelines::DiffusionPipeline& implementation() const { return *implementation_; }

  private:
    explicit Pipeline(std::unique_ptr<pipelines::DiffusionPipeline> implementation);
    std::unique_ptr<pipelines::DiffusionPipeline> implementation_;
};

}  // namespace reprise
