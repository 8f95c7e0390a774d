/* The C interface (C99). It needs none of the C++ headers.
 *
 * A pipeline is opened from a folder; a call is made of a pipeline and of options in JSON; it generates a
 * result.
 *
 *     reprise_error* error = NULL;
 *     reprise_pipeline* pipe = reprise_open("models/emoji-sdxl", NULL, &error);
 *     reprise_call* call = reprise_call_new(pipe, "{\"prompt\": \"red apple\", \"seed\": 42}", &error);
 *     reprise_result* result = reprise_generate(call, &error);
 *
 * Errors. A function that takes `error` returns NULL or false when it fails, and then sets *error to an
 * object that the caller frees; otherwise it leaves *error as it was. `error` may be NULL. No C++ exception
 * leaves a function. A handle, name or text that is NULL is an error of kind usage, unless a comment allows
 * it. A function without `error` gives NULL, 0 or false for a handle that is NULL.
 *
 * Ownership. Each handle is freed once, by its own function, in any order; freeing NULL does nothing. Memory
 * that a function returns belongs to the handle that was asked and is valid until that handle is freed.
 *
 * Threads. Several threads may use one pipeline at once. A call is used by one thread at a time;
 * reprise_cancel may be called by any thread. Texts are UTF-8.
 */
#ifndef REPRISE_C_H
#define REPRISE_C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* The library's version, such as "0.1.0". Versions with the same first two numbers are compatible. */
const char* reprise_version(void);

/* ---- errors ---- */

/* NOLINTBEGIN(modernize-use-using): this is C */
typedef struct reprise_error reprise_error;

typedef enum reprise_error_kind {
    REPRISE_ERROR_USAGE = 0,     /* the caller's mistake: an option, a file, an argument */
    REPRISE_ERROR_FAILURE = 1,   /* something else: the disk is full, no memory, an error of the engine */
    REPRISE_ERROR_CANCELLED = 2, /* reprise_cancel was called, or a callback returned false */
} reprise_error_kind;

/* Of NULL: REPRISE_ERROR_USAGE. */
reprise_error_kind reprise_error_get_kind(const reprise_error* error);
/* One line: what is wrong, what was found, what was expected. Never NULL. */
const char* reprise_error_message(const reprise_error* error);
void reprise_error_free(reprise_error* error);

/* ---- pipelines ---- */

typedef struct reprise_pipeline reprise_pipeline;

/* Opens a folder in diffusers' layout. `options` is a JSON object, or NULL for none. Its keys are the members
 * of LoadOptions (reprise/pipeline.h): "backend", "device", "precision" and "vae_precision" ("f32", "bf16",
 * "f16"), "threads", "variant", "memory_limit", "text_encoders". */
reprise_pipeline* reprise_open(const char* folder, const char* options, reprise_error** error);
void reprise_pipeline_free(reprise_pipeline* pipeline);

/* The pipeline's class in diffusers, such as "StableDiffusionXLPipeline". */
const char* reprise_pipeline_class(const reprise_pipeline* pipeline);
/* The names of all options that this pipeline honours, a JSON list: those that a call's JSON may have, and
 * those that are attached. Options of videos have the names "video.num_frames", "video.fps", ... */
const char* reprise_honours(const reprise_pipeline* pipeline, reprise_error** error);

/* ---- calls ---- */

typedef struct reprise_call reprise_call;

/* Pixels of 8 bits, red, green, blue, row by row from the top left: 3 * width * height bytes. */
typedef struct reprise_image {
    const uint8_t* rgb;
    int width, height;
} reprise_image;

/* Values in row-major order; `shape` has the size of each of `rank` dimensions, outermost first. */
typedef struct reprise_tensor {
    const float* values;
    const int64_t* shape;
    size_t rank;
} reprise_tensor;

/* A call with these options: a JSON object, or NULL for none. Its keys are the members of GenerateOptions
 * (reprise/pipeline.h), which have diffusers' names and defaults; pairs and lists are JSON lists; "video" is
 * an object of the members of AnimateOptions, which may also be given as "video.fps" and so on;
 * "prompt_texts" is a list of objects. An option that there is not, that has another type, or that the
 * pipeline does not honour is an error of kind usage that names it.
 * "reuse" says what is reused between steps: a policy, such as "auto:speedup=2", a configuration as a JSON
 * list, or "off", the default; or an object of "what", which is one of these, "count" ("steps" or
 * "evaluations": what a configuration's steps are) and "in_full" (nothing is reused, over the same pieces).
 */
reprise_call* reprise_call_new(const reprise_pipeline* pipeline, const char* options, reprise_error** error);
void reprise_call_free(reprise_call* call);

/* Gives the call a picture under this name; the pixels are copied. There is "image", the first picture of a
 * video. */
bool reprise_attach_image(reprise_call* call, const char* name, const reprise_image* image,
                          reprise_error** error);
/* Gives the call values under this name; they are copied. There are "latents", the noise in place of the
 * seed's, "start_latents", from which a refiner goes on, and, in place of prompts, "prompt_embeds",
 * "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds", "prompt_attention_mask",
 * "negative_prompt_attention_mask" (PromptEmbeddings in reprise/embeddings.h has the shapes). */
bool reprise_attach_tensor(reprise_call* call, const char* name, const reprise_tensor* tensor,
                           reprise_error** error);

typedef enum reprise_event_kind {
    REPRISE_EVENT_PHASE = 0,   /* a phase begins: "text encoder", "compile 2/3", "denoise", "decode" */
    REPRISE_EVENT_STEP = 1,    /* a step of the sampler is done */
    REPRISE_EVENT_MESSAGE = 2, /* a remark about the call, such as what "auto" chose to reuse */
} reprise_event_kind;

/* Members may be added at the end in later versions. */
typedef struct reprise_event {
    reprise_event_kind kind;
    const char* text; /* of phases and messages, valid while the callback runs; NULL for steps */
    /* The rest is for steps, otherwise 0. */
    int step, num_steps; /* from 0 */
    double seconds;      /* time of this step */
    double flops_share;  /* this step's FLOPs as a share of a full step's */
    double timestep;     /* of the step's first evaluation */
    bool reused;         /* whether any module was reused */
} reprise_event;

/* Returns whether the run goes on. */
typedef bool (*reprise_callback)(const reprise_event* event, void* user);

/* Calls back on each event of the call, on the thread that generates. `callback` NULL: no longer. */
bool reprise_on(reprise_call* call, reprise_callback callback, void* user, reprise_error** error);

/* Stops the call, from any thread: the run ends within the present step or phase, and later runs of this call
 * do not begin. Does nothing for NULL. The call must not be freed at the same time. */
void reprise_cancel(reprise_call* call);

/* ---- results ---- */

typedef struct reprise_result reprise_result;

/* Runs the call. It may be run again; the same options give the same result. */
reprise_result* reprise_generate(reprise_call* call, reprise_error** error);
void reprise_result_free(reprise_result* result);

/* How many pictures there are: prompt by prompt, image by image; for videos, frame by frame. */
size_t reprise_result_image_count(const reprise_result* result);
/* Points *image to a picture, counted from 0. False: there is none of that number, or an argument is NULL. */
bool reprise_result_image(const reprise_result* result, size_t index, reprise_image* image);
/* Points *latents to the final latents (images, channels, height / 8, width / 8), for videos (videos, frames,
 * channels, height / 8, width / 8). False: an argument is NULL. */
bool reprise_result_latents(const reprise_result* result, reprise_tensor* latents);
/* What happened, a JSON object: seconds by phase, work, memory, and every step. */
const char* reprise_result_report(const reprise_result* result);

/* Writes a picture to a .png or a lossless .webp. The file is complete or does not exist. */
bool reprise_image_save(const reprise_image* image, const char* path, reprise_error** error);

/* NOLINTEND(modernize-use-using) */

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
