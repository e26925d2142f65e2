// Not run here: no Android SDK was at hand. Tensor names, types and the order of calls are those of model.tflite.
// The file's checksum is not compared here: see README.md, and do it where files may be damaged.
// build.gradle: implementation("com.google.ai.edge.litert:litert:1.4.0"); model.tflite lies in assets/, not compressed.
package org.example.learner

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

/** Adapts and generates on the device. K, S, T and P stand in the file's metadata (see README.md). */
class Learner(model: ByteBuffer, private val k: Int, private val s: Int, private val t: Int, private val p: Int) {
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(2))

    /** `supportX` K x S ids and `supportY` K x T ids to a state of P numbers. */
    fun adapt(supportX: Array<IntArray>, supportY: Array<IntArray>): FloatArray {
        require(supportX.size == k && supportX.all { it.size == s }) { "support_x must be $k x $s" }
        require(supportY.size == k && supportY.all { it.size == t }) { "support_y must be $k x $t" }
        val state = FloatArray(p)
        interpreter.runSignature(
            mapOf<String, Any>("support_x" to supportX, "support_y" to supportY),
            mapOf<String, Any>("state" to state),
            "adapt",
        )
        return state
    }

    /** `source` S ids and a state to T ids, the likeliest; 2 ends a text. */
    fun generate(source: IntArray, state: FloatArray): IntArray {
        val output = Array(1) { IntArray(t) }
        interpreter.runSignature(
            mapOf<String, Any>("source" to arrayOf(source), "state" to checked(state)),
            mapOf<String, Any>("output" to output),
            "generate",
        )
        return output[0]
    }

    /** The loss of each of K pairs, in nats a token. */
    fun score(source: Array<IntArray>, target: Array<IntArray>, state: FloatArray): FloatArray {
        val loss = FloatArray(k)
        interpreter.runSignature(
            mapOf<String, Any>("source" to source, "target" to target, "state" to checked(state)),
            mapOf<String, Any>("loss" to loss),
            "score",
        )
        return loss
    }

    fun save(state: FloatArray, file: File) {
        val bytes = ByteBuffer.allocate(4 * p).order(ByteOrder.LITTLE_ENDIAN)
        checked(state).forEach { bytes.putFloat(it) }
        val aside = File(file.path + ".aside")
        aside.writeBytes(bytes.array())
        check(aside.renameTo(file)) { "cannot write $file" }
    }

    fun load(file: File): FloatArray {
        val bytes = file.readBytes()
        require(bytes.size == 4 * p) { "$file is no state of this model: ${bytes.size} bytes, expected ${4 * p}" }
        val buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
        return checked(FloatArray(p) { buffer.getFloat() })
    }

    private fun checked(state: FloatArray): FloatArray {
        require(state.size == p && state.all { it.isFinite() }) { "a state is $p finite numbers" }
        return state
    }
}
