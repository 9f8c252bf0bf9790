/* The loops over samples that cost the most, compiled. `mel_energy`, `placing` and `wav` have the
 * same in numpy, for machines without a compiler.
 *
 * Vectors of GCC and Clang. A frame's numbers come from its own samples in an order that nothing
 * changes, and the build forbids to round a product and a sum in one: so they are the same to the
 * last bit beside whatever frames, and on every processor that computes in the width it is told.
 * Spectra are of double precision: beside a loud vowel a soft hiss may have 1e-10 of its energy.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef float four __attribute__((vector_size(4 * sizeof(float))));

#ifdef __clang__
#define SHUFFLED(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t four_places __attribute__((vector_size(4 * sizeof(int32_t))));
#define SHUFFLED(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_places){i, j, k, l})
#endif

#define WIDE(value, type) __builtin_convertvector(value, type)

static inline four loaded(const float *from)
{
    four value;
    memcpy(&value, from, sizeof value);
    return value;
}

/* What a front end computes with, as `mel_energy` makes it. */
typedef struct {
    /* Of a window: a power of two. */
    Py_ssize_t samples;
    const double *window;
    /* Real and imaginary parts, in the order in which they are used. */
    const double *twiddles;
    /* The frequency of each result of the transforms, in their order; 0 and the highest, which
     * are left at the end, are not among them. */
    const int32_t *bins;
    /* First bin of each band, and how many it has; all their weights in a row. */
    Py_ssize_t band_count;
    const int32_t *bands;
    const float *weights;
} Tables;

#define LANES 2
#define TARGET
#define OF(name) name##_of_2
#include "_mel_energies.h"

#ifdef __x86_64__
#define LANES 4
#define TARGET __attribute__((target("avx")))
#define OF(name) name##_of_4
#include "_mel_energies.h"
#endif

#define MOST_LANES 4

/* How many numbers of `twiddles` so many samples take. */
static Py_ssize_t twiddles_of(Py_ssize_t samples)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t size = samples; size >= 4; size /= 2) {
        count += size / 4 * 2;
        for (Py_ssize_t span = size / 4; span >= 4; span /= 4)
            count += span / 4 * 6;
    }
    return count;
}

/* Whether all bins are among the frequencies, and all bands too, with a weight for each bin. */
static int within(const Tables *tables, Py_ssize_t weights)
{
    int inside = 1;
    Py_ssize_t highest = tables->samples / 2;
    for (Py_ssize_t k = 0; k < highest - 1; k++)
        inside &= tables->bins[k] > 0 && tables->bins[k] < highest;
    for (Py_ssize_t k = 0; k < tables->band_count; k++) {
        Py_ssize_t first = tables->bands[2 * k], count = tables->bands[2 * k + 1];
        inside &= first >= 0 && count >= 0 && first + count <= highest + 1;
        weights -= count;
    }
    return inside && weights == 0;
}

static PyObject *mel_energies(PyObject *module, PyObject *args)
{
    enum { WAVE, WINDOW, TWIDDLES, BINS, BANDS, WEIGHTS, SCRATCH, OUT, BUFFERS };
    Py_buffer buffer[BUFFERS];
    Py_ssize_t hop;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*ny*y*y*y*y*w*w*:mel_energies", &buffer[WAVE], &hop,
                          &buffer[WINDOW], &buffer[TWIDDLES], &buffer[BINS], &buffer[BANDS],
                          &buffer[WEIGHTS], &buffer[SCRATCH], &buffer[OUT]))
        return NULL;
    Py_ssize_t heard = buffer[WAVE].len / 4, samples = buffer[WINDOW].len / 8;
    Py_ssize_t bands = buffer[BANDS].len / 8;
    Py_ssize_t frames = bands ? buffer[OUT].len / 4 / bands : 0;
    /* Samples, energies, and what it takes to begin at a multiple of so many lanes. */
    Py_ssize_t room = (samples + samples / 2 + 1 + 1) * MOST_LANES * 8;
    int fits = samples >= 4 && (samples & (samples - 1)) == 0 && buffer[WINDOW].len == 8 * samples
               && hop >= 0 && heard >= samples
               && (frames < 2 || hop <= (heard - samples) / (frames - 1))
               && buffer[TWIDDLES].len == 8 * twiddles_of(samples)
               && buffer[BINS].len == 4 * (samples / 2 - 1) && buffer[BANDS].len == 8 * bands
               && buffer[WEIGHTS].len % 4 == 0 && buffer[SCRATCH].len >= room
               && buffer[OUT].len == 4 * bands * frames;
    for (int which = 0; which < BUFFERS; which++) {
        size_t size = which == WINDOW || which == TWIDDLES ? 8 : 4;
        fits = fits && (uintptr_t)buffer[which].buf % size == 0;
    }
    Tables tables = {
        .samples = samples, .window = buffer[WINDOW].buf, .twiddles = buffer[TWIDDLES].buf,
        .bins = buffer[BINS].buf, .band_count = bands, .bands = buffer[BANDS].buf,
        .weights = buffer[WEIGHTS].buf,
    };
    fits = fits && within(&tables, buffer[WEIGHTS].len / 4);
    if (fits) {
        uintptr_t aligned = (uintptr_t)buffer[SCRATCH].buf + MOST_LANES * 8 - 1;
        void *scratch = (void *)(aligned - aligned % (MOST_LANES * 8));
        void (*fill)(const Tables *, const float *, Py_ssize_t, Py_ssize_t, void *, float *) =
            mel_energies_of_2;
#ifdef __x86_64__
        if (__builtin_cpu_supports("avx"))
            fill = mel_energies_of_4;
#endif
        fill(&tables, buffer[WAVE].buf, hop, frames, scratch, buffer[OUT].buf);
    }
    else
        PyErr_SetString(PyExc_ValueError, "expected buffers that fit each other");
    for (int which = 0; which < BUFFERS; which++)
        PyBuffer_Release(&buffer[which]);
    return fits ? Py_NewRef(Py_None) : NULL;
}

static float mean_of(const float *samples, Py_ssize_t count)
{
    four sum = {0}, other = {0};
    Py_ssize_t n = 0;
    for (; n + 8 <= count; n += 8) {
        sum += loaded(samples + n);
        other += loaded(samples + n + 4);
    }
    sum += other;
    float total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    for (; n < count; n++)
        total += samples[n];
    return total / count;
}

/* The number that would stand at a place if they were in order (Hoare 1961). They are moved. */
static float ordered(float *numbers, Py_ssize_t count, Py_ssize_t place)
{
    Py_ssize_t first = 0, last = count - 1;
    while (first < last) {
        float pivot = numbers[place];
        Py_ssize_t low = first, high = last;
        while (low <= high) {
            while (numbers[low] < pivot)
                low++;
            while (pivot < numbers[high])
                high--;
            if (low <= high) {
                float number = numbers[low];
                numbers[low++] = numbers[high];
                numbers[high--] = number;
            }
        }
        if (high < place)
            first = low;
        if (place < low)
            last = high;
    }
    return numbers[place];
}

/* Of blocks, the sums of squares around the mean of the whole wave, three neighbours together, as
 * far as they are above twice those of the quiet fifth, which are returned. */
static PyObject *excess_energy(PyObject *module, PyObject *args)
{
    Py_buffer wave, scratch, out;
    Py_ssize_t block;
    float background = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nw*w*:excess_energy", &wave, &block, &scratch, &out))
        return NULL;
    Py_ssize_t samples = wave.len / 4, blocks = out.len / 4;
    int fits = block > 0 && block % 4 == 0 && blocks > 0 && blocks <= samples / block
               && scratch.len == out.len;
    if (fits) {
        const float *from = wave.buf;
        float *to = out.buf, mean = mean_of(from, samples), before = 0;
        for (Py_ssize_t b = 0; b < blocks; b++, from += block) {
            four sum = {0};
            for (Py_ssize_t n = 0; n < block; n += 4) {
                four value = loaded(from + n) - mean;
                sum += value * value;
            }
            float energy = (sum[0] + sum[1]) + (sum[2] + sum[3]);
            to[b] = before + energy;
            if (b)
                to[b - 1] += energy;
            before = energy;
        }
        memcpy(scratch.buf, to, blocks * sizeof(float));
        background = ordered(scratch.buf, blocks, blocks / 5);
        for (Py_ssize_t b = 0; b < blocks; b++)
            to[b] = to[b] > 2 * background ? to[b] - 2 * background : 0;
    }
    else
        PyErr_SetString(PyExc_ValueError, "expected whole blocks of a wave");
    PyBuffer_Release(&wave);
    PyBuffer_Release(&scratch);
    PyBuffer_Release(&out);
    return fits ? PyFloat_FromDouble(background) : NULL;
}

/* Numbers of 16 bits, lowest byte first as this processor has them, as parts of full scale; returns
 * the lowest, the highest, and how many are as far from zero as a level. */
static PyObject *decode_16_bit(PyObject *module, PyObject *args)
{
    Py_buffer data, out;
    Py_ssize_t start;
    int level;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*niw*:decode_16_bit", &data, &start, &level, &out))
        return NULL;
    Py_ssize_t count = out.len / 4;
    int fits = count > 0 && start >= 0 && start <= data.len && count <= (data.len - start) / 2
               && level > 0;
    int16_t low = INT16_MAX, high = INT16_MIN;
    int clipped = 0;
    if (fits) {
        const char *from = (const char *)data.buf + start;
        float *to = out.buf;
        for (Py_ssize_t n = 0; n < count; n++) {
            int16_t sample;
            memcpy(&sample, from + 2 * n, sizeof sample);
            to[n] = sample * (1 / 32768.0f);
            low = sample < low ? sample : low;
            high = sample > high ? sample : high;
            clipped += (sample >= level) + (sample <= -level);
        }
    }
    else
        PyErr_SetString(PyExc_ValueError, "expected as many numbers as there is room for");
    PyBuffer_Release(&data);
    PyBuffer_Release(&out);
    return fits ? Py_BuildValue("iii", (int)low, (int)high, clipped) : NULL;
}

static PyMethodDef methods[] = {
    {"mel_energies", mel_energies, METH_VARARGS, NULL},
    {"excess_energy", excess_energy, METH_VARARGS, NULL},
    {"decode_16_bit", decode_16_bit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
