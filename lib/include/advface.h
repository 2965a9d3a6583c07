/* AdvFace as a library: recognisers, detectors, decoders, keys, protections and stores behind a C interface.
 *
 * Every function but the plain questions returns an advface_status and takes, as its last argument, where an
 * error object goes (NULL: nowhere). ADVFACE_OK is 0. No exception leaves the library, and none may enter it
 * by a callback. What fails leaves its outputs undefined, and changes nothing else.
 *
 * Handles are names, not addresses: one that was freed, is of another kind or was never given out is refused
 * with ADVFACE_INVALID_HANDLE. All may be used by several threads at once; one that is freed meanwhile lives
 * until the calls that use it have ended. Whatever a handle was made of may be freed before it.
 *
 * Texts are UTF-8 and end with a zero. Texts that are given out go to memory of the caller: `text` of `bytes`
 * bytes; *needed, where it is not NULL, becomes what the whole text takes with its zero. A text that does not
 * fit is refused with ADVFACE_BUFFER_TOO_SMALL; call again with *needed bytes (text may be NULL for 0 bytes).
 *
 * docs/library.md says what may change when.
 */
#ifndef ADVFACE_H
#define ADVFACE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(ADVFACE_BUILDS_LIBRARY)
#define ADVFACE_API __attribute__((visibility("default")))
#else
#define ADVFACE_API
#endif

#define ADVFACE_VERSION_MAJOR 0
#define ADVFACE_VERSION_MINOR 1
#define ADVFACE_VERSION_PATCH 0
/* As advface_version() returns it. */
#define ADVFACE_VERSION \
  (ADVFACE_VERSION_MAJOR * 1000000 + ADVFACE_VERSION_MINOR * 1000 + ADVFACE_VERSION_PATCH)

#define ADVFACE_MAX_RANK 5

/* What became of a call. */
typedef int32_t advface_status;
#define ADVFACE_OK 0
#define ADVFACE_INVALID_ARGUMENT 1 /* a null pointer, shape, stride, type, setting or name that cannot be */
#define ADVFACE_INVALID_HANDLE 2   /* freed, of another kind, or none of this library's */
#define ADVFACE_FAILED 3           /* a file, or values, that cannot be used as they are */
#define ADVFACE_INTERRUPTED 4      /* the caller's advface_control did not let it go on */
#define ADVFACE_OUT_OF_MEMORY 5    /* or out of threads: the system gives this process no more */
#define ADVFACE_FORKED 6    /* by fork(): this process has none of the threads of the one it came from */
#define ADVFACE_NOT_FOUND 7 /* nobody of that name, no record of that number */
#define ADVFACE_NOT_IN_THIS_BUILD 8 /* keys */
#define ADVFACE_BUFFER_TOO_SMALL 9  /* a text that does not fit */
#define ADVFACE_INTERNAL 10         /* a mistake of the library's */

/* Names of what the library holds. */
typedef struct advface_error advface_error;
typedef struct advface_recogniser advface_recogniser;
typedef struct advface_detector advface_detector;
typedef struct advface_decoder advface_decoder;
typedef struct advface_key advface_key;
typedef struct advface_protection advface_protection;
typedef struct advface_store advface_store;

/* ---- arrays ---- */

/* Types of elements, in the machine's byte order. */
#define ADVFACE_F32 1
#define ADVFACE_F64 2
#define ADVFACE_F16 3 /* IEEE 754 binary16 */
#define ADVFACE_U8 4
#define ADVFACE_I64 5

/* Elements in memory of the caller. Element (i, j, ...) lies at data + offset + i * strides[0] + j *
 * strides[1] + ..., all in bytes; strides may be negative for what is read. The library touches
 * [data, data + bytes) and nothing else: an array that says more is refused, and one whose elements would
 * take more than that together. What is read is not copied where it is ADVFACE_F32 in C order, the last
 * dimension fastest, without gaps; anything else is copied once. An array that is written must be ADVFACE_F32
 * (where nothing else is said) in C order, and overlaps what is read nowhere. */
typedef struct advface_array {
  void* data;      /* where the memory begins */
  uint64_t bytes;  /* of the memory */
  uint64_t offset; /* of element (0, 0, ...), in bytes from data */
  int32_t type;
  int32_t rank;
  int64_t shape[ADVFACE_MAX_RANK];
  int64_t strides[ADVFACE_MAX_RANK]; /* in bytes */
  int32_t read_only;                 /* not 0: results are refused a place in it */
} advface_array;

/* An array in C order that may be written, without a check of its own. */
ADVFACE_API advface_array advface_array_of(void* data, uint64_t bytes, int32_t type, int32_t rank,
                                           const int64_t* shape);
/* The array that a DLPack tensor describes: `managed` is a DLManagedTensor, or with `versioned` not 0 a
 * DLManagedTensorVersioned of major version 0 or 1. It must lie in memory of the CPU; one that is marked
 * as read-only is read_only. The caller keeps the tensor, and calls its deleter when the array is no longer
 * used. */
ADVFACE_API advface_status advface_array_from_dlpack(const void* managed, int32_t versioned,
                                                     advface_array* array, advface_error** error);

/* ---- long calls ---- */

/* Asked now and then by long calls, on the thread that made the call and on no other, some milliseconds
 * apart, also while they wait for another thread or another program; and once more before a store is written:
 * what is stopped then has changed nothing. *answer is 0 before; what does not set it to 1 ends the call with
 * ADVFACE_INTERRUPTED, so that a callback that fails ends the work. It must return: an exception or a longjmp
 * out of it ends the process, or worse. From within it, and from handlers of signals that run meanwhile,
 * nothing can be called but what frees, reads an error or answers a plain question. A process that it forks
 * must end, or start a program, before it returns from it. NULL instead: the call goes on to its end. */
typedef struct advface_control {
  uint64_t size; /* sizeof(advface_control) */
  void (*go_on)(void* user, int32_t* answer);
  void* user;
} advface_control;

/* For a host that is about to end, or to unload what a callback needs: this go_on (NULL: any) is not called
 * any more, calls that have it end as if it had said nothing, and this returns when it is not being called.
 * Never from within a go_on. */
ADVFACE_API void advface_end_callbacks(void (*go_on)(void* user, int32_t* answer));

/* ---- errors, version, threads ---- */

ADVFACE_API advface_status
advface_error_code(const advface_error* error); /* ADVFACE_INVALID_HANDLE of none */
/* Valid until the error is freed; "" of none. */
ADVFACE_API const char* advface_error_text(const advface_error* error);
ADVFACE_API void advface_error_free(advface_error* error);

ADVFACE_API uint32_t advface_version(void);
/* Whether this build has "keys", or a "store". */
ADVFACE_API int32_t advface_has(const char* feature);
/* Threads that a computation uses, the caller's included; 0: as many as the machine has, which is how it
 * begins. Results are the same bits for any number. Waits for computations at work. */
ADVFACE_API advface_status advface_set_threads(int32_t threads, advface_error** error);
ADVFACE_API int32_t advface_threads(void);

/* ---- recognisers ---- */

/* Loads a recogniser's card (.json) and its network. */
ADVFACE_API advface_status advface_recogniser_load(const char* card, advface_recogniser** recogniser,
                                                   advface_error** error);
ADVFACE_API advface_status advface_recogniser_free(advface_recogniser* recogniser);
/* JSON: card, fingerprint, default_cut, embedding (name, dimension), input (width, height), cuts: each name,
 * op, shape, domain, macs. */
ADVFACE_API advface_status advface_recogniser_describe(const advface_recogniser* recogniser, char* text,
                                                       uint64_t bytes, uint64_t* needed,
                                                       advface_error** error);
/* Of one feature at the cut (NULL: the card's default): shape has room for ADVFACE_MAX_RANK numbers. */
ADVFACE_API advface_status advface_recogniser_feature_shape(const advface_recogniser* recogniser,
                                                            const char* cut, int64_t* shape, int32_t* rank,
                                                            advface_error** error);

/* Order of the colours of a pixel. */
#define ADVFACE_RGB 1
#define ADVFACE_BGR 2
#define ADVFACE_RGBA 3 /* the fourth value is left out */
#define ADVFACE_BGRA 4
#define ADVFACE_GREY 5

/* Faces that are cut out already, as the recogniser's card wants them: pixels (N, H, W, C), ADVFACE_U8, or
 * ADVFACE_F32 from 0 to 1, of any size -> features (N, shape of the cut). Colours, rows and pictures may lie
 * in any order of memory, as strides say. Throws out nothing: a picture without a finite feature ends the
 * call with ADVFACE_FAILED. The same bits as advface-extract makes of such pictures. */
ADVFACE_API advface_status advface_extract_faces(const advface_recogniser* recogniser, const char* cut,
                                                 const advface_array* pixels, int32_t colours,
                                                 const advface_control* control, advface_array* features,
                                                 advface_error** error);

/* How the face of a picture is found. */
#define ADVFACE_LARGEST 0 /* of several faces */
#define ADVFACE_CENTRAL 1
#define ADVFACE_ONLY 2 /* several are refused */
typedef struct advface_cut {
  uint64_t size;                    /* sizeof(advface_cut) */
  const advface_detector* detector; /* finds faces; or NULL: eyes, one place for all pictures */
  float eyes[4];  /* centres x1, y1, x2, y2 in pixels, the eye further left first; not looked at otherwise */
  int32_t choice; /* ADVFACE_LARGEST, ... */
  int32_t longer_side; /* of the picture as the detector sees it, in pixels; 0: 640 */
  double least_side;   /* of a face's box, in pixels of the picture; 0: 20 */
  double most_angle;   /* that a face may be turned, in degrees; 0 or 90: any */
} advface_cut;

/* Why a picture gives no feature. */
#define ADVFACE_FACE_OK 0
#define ADVFACE_FACE_NO_FEATURE 1 /* what the recogniser makes of it is not finite */
#define ADVFACE_FACE_NONE 2
#define ADVFACE_FACE_SEVERAL 3
#define ADVFACE_FACE_SMALL 4
#define ADVFACE_FACE_TURNED 5
#define ADVFACE_FACE_OUTSIDE 6

/* A face in a picture. Places in pixels; angles in degrees, estimates; of cut-out faces without a detector
 * only `reason` is told. */
typedef struct advface_face {
  int32_t reason; /* ADVFACE_FACE_OK, ... */
  int32_t number; /* this one of `of` that were found, from 1 */
  int32_t of;
  int32_t points;       /* landmarks: 5, 2 (the eyes alone) or 0 */
  double box[4];        /* x, y, width, height */
  double score;         /* of the detector */
  double landmarks[10]; /* x, y of each: eyes, tip of the nose, corners of the mouth */
  double roll, yaw, pitch;
  double sharpness; /* variance of the crop's Laplacian */
  double exposure;  /* mean grey level of the crop, 0 to 1 */
  double outside;   /* share of the crop outside the picture */
} advface_face;

/* Whole pictures, such as a camera's frames: `count` arrays (H, W, C), ADVFACE_U8, each of its own size ->
 * features (count, shape of the cut). found: `count` of them, or NULL. A picture without a usable face, or in
 * which the eyes' place does not fit, has a reason there, and a row of NaN, which nothing takes for a
 * feature; without `found` it ends the call with ADVFACE_FAILED. */
ADVFACE_API advface_status advface_extract_pictures(const advface_recogniser* recogniser, const char* cut,
                                                    const advface_array* pictures, uint64_t count,
                                                    int32_t colours, const advface_cut* how,
                                                    const advface_control* control, advface_array* features,
                                                    advface_face* found, advface_error** error);

/* ---- detectors ---- */

/* least_score: of a face; 0: what the card says. */
ADVFACE_API advface_status advface_detector_load(const char* card, double least_score,
                                                 advface_detector** detector, advface_error** error);
ADVFACE_API advface_status advface_detector_free(advface_detector* detector);
/* The faces of a picture (H, W, C), ADVFACE_U8, by falling score; longer_side as in advface_cut. *count
 * becomes how many were found, of which the first `room` are written. */
ADVFACE_API advface_status advface_detector_find(const advface_detector* detector,
                                                 const advface_array* picture, int32_t colours,
                                                 int32_t longer_side, advface_face* faces, uint64_t room,
                                                 uint64_t* count, advface_error** error);

/* ---- decoders: shadows, and attackers that were trained ---- */

ADVFACE_API advface_status advface_decoder_load(const char* path, advface_decoder** decoder,
                                                advface_error** error);
ADVFACE_API advface_status advface_decoder_free(advface_decoder* decoder);
/* JSON: feature (a shape), image_size, cut, recogniser (fingerprint), domain, protection that it was trained
 * on, loss. */
ADVFACE_API advface_status advface_decoder_describe(const advface_decoder* decoder, char* text,
                                                    uint64_t bytes, uint64_t* needed, advface_error** error);
/* features (N, shape of a feature) -> images (N, 3, S, S), RGB from 0 to 1. */
ADVFACE_API advface_status advface_decoder_reconstruct(const advface_decoder* decoder,
                                                       const advface_array* features,
                                                       const advface_control* control, advface_array* images,
                                                       advface_error** error);

/* ---- keys ---- */

/* A new key in a new file, which its owner alone may read; and the key. */
ADVFACE_API advface_status advface_key_new(const char* path, advface_key** key, advface_error** error);
/* Refuses a file that others than its owner may read. */
ADVFACE_API advface_status advface_key_read(const char* path, const advface_control* control,
                                            advface_key** key, advface_error** error);
/* From an open descriptor, such as a pipe, to its end; it is not closed. */
ADVFACE_API advface_status advface_key_read_fd(int32_t descriptor, const advface_control* control,
                                               advface_key** key, advface_error** error);
/* The bytes are wiped when the last protection and store that uses the key is gone, too. */
ADVFACE_API advface_status advface_key_free(advface_key* key);
/* JSON of what is public: id, date, check. */
ADVFACE_API advface_status advface_key_describe(const advface_key* key, char* text, uint64_t bytes,
                                                uint64_t* needed, advface_error** error);

/* ---- protections ---- */

/* A setting by its name and as text, as the programs have them without the dashes: {"protect", "rotation"},
 * {"key-mode", "per-set"}, {"epsilon", "0.02"}, {"shadow", "shadow.safetensors"}, {"seed", "1"}. "protect"
 * (and what may repeat on the command line) may stand there several times, in order. */
typedef struct advface_setting {
  const char* name;
  const char* value;
} advface_setting;

/* Which values features may have. */
#define ADVFACE_REAL 0
#define ADVFACE_SPHERE 1 /* unit vectors: embeddings */
#define ADVFACE_NON_NEGATIVE 2

/* Whose features: those of a recogniser at a cut, or (recogniser NULL) of this shape and domain. */
typedef struct advface_space {
  uint64_t size; /* sizeof(advface_space) */
  const advface_recogniser* recogniser;
  const char* cut; /* of the recogniser; NULL: its card's default */
  int32_t domain;  /* without a recogniser; ADVFACE_SPHERE asks for a shape of one number */
  int32_t rank;    /* 1, or 3 for maps */
  int64_t shape[ADVFACE_MAX_RANK];
} advface_space;

/* Ready to protect what is kept. key: for a protection that needs one, instead of the settings "key" and
 * "key-fd"; NULL: none. described: NULL for a new one; the text of advface_protection_describe(), or of the
 * FILE.npy.json that lies beside what advface-protect has written, makes that one again: then settings name
 * files alone, and a key or a file that is not the one is told. */
ADVFACE_API advface_status advface_protection_make(const advface_space* space,
                                                   const advface_setting* settings, uint64_t count,
                                                   const advface_key* key, const char* described,
                                                   const advface_control* control,
                                                   advface_protection** protection, advface_error** error);
ADVFACE_API advface_status advface_protection_free(advface_protection* protection);
/* JSON: protection (as docs/formats.md has it), recogniser, cut, proved, changes_probe, draws_by_record,
 * separates_records, needs_key, in and out (shape, domain). No key, and nothing of one but its check value;
 * but what noise is drawn from (its seed) stands there, since whoever makes the protection again needs it:
 * whoever reads it can take such noise off. */
ADVFACE_API advface_status advface_protection_describe(const advface_protection* protection, char* text,
                                                       uint64_t bytes, uint64_t* needed,
                                                       advface_error** error);
/* Of one protected feature. */
ADVFACE_API advface_status advface_protection_out_shape(const advface_protection* protection, int64_t* shape,
                                                        int32_t* rank, advface_error** error);

/* What happened to a record. */
typedef struct advface_report {
  int64_t record;
  double noise_l2, noise_linf, cosine;   /* to the raw feature; 0 where it went to a space of its own */
  double loss_before, loss_after;        /* of a protection that climbs an objective; else 0 */
  double noise_kept, recognition_cosine; /* where a bound on recognition was asked for; else 1 and 0 */
} advface_report;

/* features (N, shape) -> protected (N, out shape), the same bits as advface-protect makes of them. records:
 * (N) ADVFACE_I64, the number of each record in its set, from 0 on, never twice in a set. NULL is for a
 * protection that draws nothing for each record (the description's draws_by_record), and refused by others:
 * two calls that count from 0 would give two people one draw. reports: N of them, in memory of their own, or
 * NULL. `protected_rows` may be the very array that `features` is, and overlaps it in no other way. With --bn
 * batch or recalibrated the features of a call are the set that is looked at. */
ADVFACE_API advface_status advface_protect(const advface_protection* protection,
                                           const advface_array* features, const advface_array* records,
                                           const advface_control* control, advface_array* protected_rows,
                                           advface_report* reports, advface_error** error);
/* Raw features as they are to be compared with the records of these numbers. NULL where a probe looks the
 * same to all records (the description's separates_records is false). */
ADVFACE_API advface_status advface_turn_probe(const advface_protection* protection,
                                              const advface_array* features, const advface_array* records,
                                              const advface_control* control, advface_array* probes,
                                              advface_error** error);

/* ---- matching ---- */

/* 1:1. stored (N, D), probes (N, D) -> scores (N): cosines, row by row. With a protection, which may be NULL,
 * probes are raw and stored rows are records of these numbers, NULL as in advface_turn_probe(). scores:
 * ADVFACE_F64. */
ADVFACE_API advface_status advface_score(const advface_protection* protection, const advface_array* stored,
                                         const advface_array* records, const advface_array* probes,
                                         const advface_control* control, advface_array* scores,
                                         advface_error** error);
/* 1:N. stored (N, D), probes (M, D) -> rows (M, K) ADVFACE_I64, K from 1 to 10000, and scores (M, K): the K
 * stored rows of the largest cosine to each probe, the largest first, of equals the lower row; -1 and -2
 * where N is below K. */
ADVFACE_API advface_status advface_nearest(const advface_protection* protection, const advface_array* stored,
                                           const advface_array* records, const advface_array* probes,
                                           const advface_control* control, advface_array* rows,
                                           advface_array* scores, advface_error** error);

/* ---- stores ---- */

/* A set in a store's file, which is made where it is not there. "protect" is asked for, and "none" stores raw
 * features, of which faces can be made again. Throws out what it has made where it fails. */
ADVFACE_API advface_status advface_store_create(const char* path, const char* set, const advface_space* space,
                                                const advface_setting* settings, uint64_t count,
                                                const advface_key* key, const advface_control* control,
                                                advface_store** store, advface_error** error);
/* A set that is there. settings name files; recogniser: for a protection that runs it, or NULL. set: NULL is
 * "default". */
ADVFACE_API advface_status advface_store_open(const char* path, const char* set,
                                              const advface_setting* settings, uint64_t count,
                                              const advface_key* key, const advface_recogniser* recogniser,
                                              const advface_control* control, advface_store** store,
                                              advface_error** error);
ADVFACE_API advface_status advface_store_close(advface_store* store);
/* JSON as advface-store has it, with the calibration: set, records, dimension, protection, .... */
ADVFACE_API advface_status advface_store_describe(const advface_store* store, const advface_control* control,
                                                  char* text, uint64_t bytes, uint64_t* needed,
                                                  advface_error** error);
/* Raw features (N, D) of N people who are not in the set, all or none. numbers: (N) ADVFACE_I64, written, or
 * NULL. */
ADVFACE_API advface_status advface_store_add(const advface_store* store, const advface_array* features,
                                             const char* const* subjects, uint64_t count,
                                             const advface_control* control, advface_array* numbers,
                                             advface_error** error);
/* 1:1. Raw probes (N, D) -> scores (N) ADVFACE_F64 beside the record of that person; *threshold, where it is
 * not NULL, becomes the set's by its calibration, NaN where nobody has calibrated it. ADVFACE_NOT_FOUND where
 * there is no such person. */
ADVFACE_API advface_status advface_store_verify(const advface_store* store, const char* subject,
                                                const advface_array* probes, const advface_control* control,
                                                advface_array* scores, double* threshold,
                                                advface_error** error);
/* 1:N. Raw probes (M, D) -> numbers (M, K) ADVFACE_I64 of records and scores (M, K), as advface_nearest(). */
ADVFACE_API advface_status advface_store_identify(const advface_store* store, const advface_array* probes,
                                                  const advface_control* control, advface_array* numbers,
                                                  advface_array* scores, double* threshold,
                                                  advface_error** error);
/* What a score means in the set: features (N, D), raw, of people who are not in it, people[i] naming whose
 * row i is, go the way that the set's go, and all pairs of them (N up to 50000) are scored. The set then
 * decides where no more than this share of pairs of different people pass (rate, such as 0.001;
 * ADVFACE_FAILED tells where there are too few people for it), which *threshold becomes where it is not NULL;
 * an earlier calibration gives way. Nothing of the features is kept but scores. source: where they come from,
 * for who asks later; may be NULL. */
ADVFACE_API advface_status advface_store_calibrate(const advface_store* store, const advface_array* features,
                                                   const char* const* people, uint64_t count, double rate,
                                                   const char* source, const advface_control* control,
                                                   double* threshold, advface_error** error);
/* Who the record of this number is. */
ADVFACE_API advface_status advface_store_subject(const advface_store* store, int64_t number,
                                                 const advface_control* control, char* text, uint64_t bytes,
                                                 uint64_t* needed, advface_error** error);
/* All or none; their bytes are overwritten. Where another program reads for long, or the caller does not wait
 * for that, they are removed, but ADVFACE_FAILED tells that bytes may still lie in the file. */
ADVFACE_API advface_status advface_store_remove(const advface_store* store, const char* const* subjects,
                                                uint64_t count, const advface_control* control,
                                                advface_error** error);

#ifdef __cplusplus
}
#endif
#endif
