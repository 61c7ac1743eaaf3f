// @ts-check
// Imports the entry in documents of XML, in which Chromium runs no module scripts
// (https://crbug.com/717643). Where the tag has run it is the same module, and nothing happens.
import(/** @type {HTMLScriptElement} */ (document.currentScript).src.replace('xhtml.js', 'curfew.js'))
